use std::net::IpAddr;

use actix_web::HttpRequest;

use crate::config::Settings;

/// The address that a request comes from.
///
/// Behind a proxy every connection comes from the proxy; it appends whom it speaks for.
/// Only the last name in that header is its own word, the others came with the request.
pub fn caller(req: &HttpRequest, settings: &Settings) -> Option<IpAddr> {
    let told = || {
        let hops = req.headers().get_all("X-Forwarded-For").last()?.to_str().ok()?;
        hops.rsplit(',').next()?.trim().parse::<IpAddr>().ok()
    };
    let forwarded = if settings.public_url.is_some() { told() } else { None };
    forwarded.or_else(|| req.peer_addr().map(|address| address.ip()))
}
