//! Whether a call is Twilio's: `base64(HMAC-SHA1(auth token, address + each name and value of the form, sorted))`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::sorted_pairs;
use crate::providers::Call;

const SIGNATURE: &str = "x-twilio-signature";

/// The configured address counts, and not what a proxy says of it, with its port and without: not every service of
/// theirs signs the same. A body that is no form is signed by its hash in the address.
pub fn is_genuine(token: &str, hook: &str, call: &Call<'_>) -> bool {
    let Some(told) = call.header(SIGNATURE).and_then(|told| STANDARD.decode(told.trim()).ok()) else { return false };
    let (begin, hash) = (site(hook), body_hash(call.url));
    let fields = match &hash {
        Some(_) => Vec::new(),
        None => sorted_pairs(call.body),
    };
    if let Some(hash) = hash {
        let ours: String = Sha256::digest(call.body).iter().map(|byte| format!("{byte:02x}")).collect();
        if !bool::from(subtle::ConstantTimeEq::ct_eq(ours.as_bytes(), hash.to_lowercase().as_bytes())) {
            return false;
        }
    }
    let rest = site_and_rest(call.url).1;
    sites(begin).iter().any(|site| {
        let Ok(mut mac) = <Hmac<Sha1> as KeyInit>::new_from_slice(token.as_bytes()) else { return false };
        mac.update(site.as_bytes());
        mac.update(rest.as_bytes());
        for (name, value) in &fields {
            mac.update(name.as_bytes());
            mac.update(value);
        }
        !token.is_empty() && mac.verify_slice(&told).is_ok()
    })
}

fn site_and_rest(url: &str) -> (&str, &str) {
    let host_at = url.find("://").map_or(0, |at| at + 3);
    let path_at = url.get(host_at..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host_at + at);
    let (site, rest) = url.split_at_checked(path_at).unwrap_or((url, ""));
    (site, rest.split('#').next().unwrap_or_default())
}

fn site(url: &str) -> &str {
    site_and_rest(url).0
}

/// Scheme and host as they may have been signed.
fn sites(site: &str) -> Vec<String> {
    let port =
        site.rsplit_once(':').filter(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    match port {
        Some((without, _)) => vec![site.to_owned(), without.to_owned()],
        None => {
            let standard = if site.starts_with("https") { 443 } else { 80 };
            vec![site.to_owned(), format!("{site}:{standard}")]
        }
    }
}

fn body_hash(url: &str) -> Option<String> {
    let query = url.split_once('?')?.1.split('#').next()?;
    query.split('&').find_map(|field| field.strip_prefix("bodySHA256=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn the_vector_that_both_official_libraries_share_is_believed() {
        let body = b"Digits=1234&To=%2B18005551212&From=%2B14158675310&Caller=%2B14158675310&CallSid=CA1234567890ABCDE";
        let check = |signature: &str, url: &str, body: &[u8]| {
            let headers = [(SIGNATURE, signature)];
            let call = Call { method: "POST", url, headers: &headers, body, at: DateTime::UNIX_EPOCH };
            is_genuine("12345", "https://mycompany.com/myapp.php", &call)
        };
        let (url, right) = ("http://10.0.0.7:3000/myapp.php?foo=1&bar=2", "GvWf1cFY/Q7PnoempGyD5oXAezc=");
        assert!(check(right, url, body));
        assert!(!check(right, url, b"Digits=1235"));
        assert!(!check(right, "http://10.0.0.7:3000/myapp.php?foo=1&bar=3", body));
        assert!(!check("", url, body) && !check("AAAA", url, body));
    }
}
