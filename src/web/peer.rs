use std::net::IpAddr;

use actix_web::HttpRequest;

use super::plain_host;
use crate::config::Settings;

/// The address that a request comes from.
///
/// Behind a proxy every connection comes from the proxy; it appends whom it speaks for. Only a proxy
/// that is trusted is believed, and only the last name in that header is its own word: the others came
/// with the request.
pub fn caller(req: &HttpRequest, settings: &Settings) -> Option<IpAddr> {
    let peer = req.peer_addr().map(|address| address.ip());
    let told = || {
        let hops = req.headers().get_all("X-Forwarded-For").last()?.to_str().ok()?;
        hops.rsplit(',').next()?.trim().parse::<IpAddr>().ok()
    };
    let trusted = peer.is_some_and(|peer| settings.trusts(peer));
    if trusted { told().or(peer) } else { peer }
}

/// Whether it comes from this machine itself, and not from a proxy on it that speaks for others.
pub fn is_local(req: &HttpRequest) -> bool {
    let forwarded = ["X-Forwarded-For", "Forwarded", "Via"].iter().any(|name| req.headers().contains_key(*name));
    !forwarded && req.peer_addr().is_some_and(|address| address.ip().to_canonical().is_loopback())
}

/// Where others find us: the public address, or the one that was asked.
///
/// What a browser or a proxy says of our name is copied into other people's pages and messages: only what nobody can
/// have made up is believed.
pub fn site(req: &HttpRequest, settings: &Settings) -> String {
    settings.public_url.clone().unwrap_or_else(|| {
        let address = req.app_config().local_addr().to_string();
        format!("http://{}", plain_host(req.headers()).unwrap_or(&address))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn heard(peer: &str, public_url: Option<&str>, trusted: &[&str]) -> String {
        let req = TestRequest::default()
            .peer_addr(peer.parse().unwrap())
            .insert_header(("X-Forwarded-For", "198.51.100.66, 203.0.113.9"))
            .to_http_request();
        let trusted_proxies = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let settings = Settings { public_url: public_url.map(str::to_owned), trusted_proxies, ..Settings::default() };
        caller(&req, &settings).unwrap().to_string()
    }

    #[test]
    fn a_forwarded_address_is_believed_of_a_trusted_proxy_only_and_only_its_last_hop() {
        let public = Some("https://bugle.test");
        for near in ["127.0.0.1:1", "10.1.2.3:1", "192.168.1.1:1", "[::1]:1", "[fd00::1]:1", "[::ffff:10.0.0.1]:1"] {
            assert_eq!(heard(near, public, &[]), "203.0.113.9", "{near}");
        }
        assert_eq!(heard("192.0.2.1:1", public, &[]), "192.0.2.1", "anybody may say anything");
        assert_eq!(heard("127.0.0.1:1", None, &[]), "127.0.0.1", "there is no proxy");
        assert_eq!(heard("192.0.2.1:1", public, &["192.0.2.0/28"]), "203.0.113.9");
        assert_eq!(heard("127.0.0.1:1", public, &["192.0.2.0/28"]), "127.0.0.1", "another one is said to be it");
    }
}
