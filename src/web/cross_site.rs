use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{Error, web::Data};

use super::Problem;
use crate::app::App;

/// Refuses requests that change something and were made by another site's page.
///
/// Browsers say where a request comes from in headers that no page can set, so
/// forms need no token. Cookies alone would not do: `SameSite=Lax` lets a
/// neighbour on the same domain through. Webhooks come from no page and carry a
/// signature instead; a web chat has a list of the sites that may hold it.
pub async fn refuse_cross_site(
    app: Data<App>,
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let changes = matches!(*req.method(), Method::POST | Method::PUT | Method::PATCH | Method::DELETE);
    let public_url = app.settings.public_url.as_deref();
    if changes && !is_own_host(req.headers(), public_url) {
        return Ok(req.error_response(Problem::UnknownHost).map_into_right_body());
    }
    if changes && !asks_itself(req.path()) && !is_ours(req.headers(), public_url) {
        return Ok(req.error_response(Problem::CrossSite).map_into_right_body());
    }
    Ok(next.call(req).await?.map_into_left_body())
}

/// Whether what lies there judges by itself who may ask: it has no session.
pub(super) fn asks_itself(path: &str) -> bool {
    ["/webhooks/", "/webchat/"].iter().any(|under| path.starts_with(under))
}

/// `public_url`: where browsers find us, if that is not what `Host` says.
fn is_ours(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let read = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());

    if let Some(site) = read("Sec-Fetch-Site") {
        return matches!(site, "same-origin" | "none");
    }
    // Older browsers, and any browser on plain HTTP outside localhost.
    read(header::ORIGIN.as_str()).is_some_and(|origin| is_own_origin(origin, headers, public_url))
}

/// Whether `origin` is where a request with these headers was made to.
pub fn is_own_origin(origin: &str, headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let Some(from) = authority(origin) else { return false };
    match public_url {
        Some(url) => origin.eq_ignore_ascii_case(url.trim_end_matches('/')),
        None => host(headers).is_some_and(|host| host.eq_ignore_ascii_case(from)) && is_own_host(headers, None),
    }
}

/// Whether a request was made to a name that can only be ours. Without a public URL that is an
/// address or `localhost`: any other name may be somebody's who has it lead here.
fn is_own_host(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    host(headers).filter(|_| public_url.is_none()).is_none_or(is_nobodys)
}

/// `Host`, if it is one that nobody can have made up: an address, or `localhost`.
pub fn plain_host(headers: &HeaderMap) -> Option<&str> {
    host(headers).filter(|host| is_nobodys(host))
}

fn is_nobodys(host: &str) -> bool {
    // Without its port; an IPv6 address has brackets.
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default())
}

/// `host[:port]` of an origin such as `https://bugle.example:8443`.
fn authority(origin: &str) -> Option<&str> {
    origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn ours(headers: &[(&'static str, &'static str)], public_url: Option<&str>) -> bool {
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value)));
        is_ours(&pairs.collect(), public_url)
    }

    #[test]
    fn the_browser_says_where_a_request_comes_from() {
        assert!(ours(&[("sec-fetch-site", "same-origin")], None));
        assert!(ours(&[("sec-fetch-site", "none")], None));
        assert!(!ours(&[("sec-fetch-site", "same-site")], None));
        assert!(!ours(&[("sec-fetch-site", "cross-site"), ("origin", "http://a"), ("host", "a")], None));
    }

    #[test]
    fn an_older_browser_is_judged_by_its_origin() {
        assert!(ours(&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], None));
        assert!(ours(&[("origin", "http://localhost:8080"), ("host", "localhost:8080")], None));
        assert!(ours(&[("origin", "http://[::1]:8080"), ("host", "[::1]:8080")], None));
        assert!(!ours(&[("origin", "http://127.0.0.1:8081"), ("host", "127.0.0.1:8080")], None));
        assert!(!ours(&[("origin", "http://evil.test"), ("host", "bugle.test")], None));
        assert!(!ours(&[("origin", "null"), ("host", "null")], None));
        assert!(!ours(&[("host", "bugle.test")], None));
    }

    #[test]
    fn a_name_that_leads_here_is_not_ours_unless_we_were_told() {
        let host = |host: &'static str, public: Option<&str>| {
            let pair = (HeaderName::from_static("host"), HeaderValue::from_static(host));
            is_own_host(&[pair].into_iter().collect(), public)
        };
        for ours in ["localhost", "LOCALHOST:8080", "192.0.2.7:8080", "[::1]:8080", "[fd00::1]"] {
            assert!(host(ours, None), "{ours}");
        }
        for foreign in ["rebound.test:8080", "localhost.rebound.test", "127.0.0.1.rebound.test", "", "[rebound.test]"] {
            assert!(!host(foreign, None), "{foreign}");
        }
        assert!(!ours(&[("origin", "http://rebound.test"), ("host", "rebound.test")], None));
        assert!(host("bugle.test", Some("https://bugle.test")), "its proxy lets through what it is set up for");
    }

    #[test]
    fn behind_a_proxy_the_public_address_counts_and_not_the_host() {
        let public = Some("https://bugle.test/");
        assert!(ours(&[("origin", "https://bugle.test"), ("host", "127.0.0.1:8080")], public));
        assert!(!ours(&[("origin", "http://bugle.test"), ("host", "bugle.test")], public));
        assert!(!ours(&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], public));
    }
}
