//! Whether a call is the gateway's, where knowing the address does not prove it.

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::gateway::Signed;
use crate::providers::credentials::Credentials;
use crate::providers::said::pairs;
use crate::providers::{Call, Forged};

/// How far the clocks of a gateway and ours may be apart, and how late a signed call may be.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// Hexadecimal HMAC-SHA256 over `<time>.<body>`; `sha256=` may stand in front.
pub const SIGNATURE: &str = "x-signature-256";
/// Seconds since 1970.
pub const TIME: &str = "x-timestamp";

/// While a secret is changed there are two, with a blank between; either will do. Without one only the address proves
/// who calls.
pub fn check(signed: Signed, credentials: &Credentials, call: &Call<'_>) -> Result<(), Forged> {
    let secrets: Vec<&str> = credentials.get("signature_secret").split_whitespace().collect();
    let is_genuine = match signed {
        Signed::Address => true,
        Signed::Header => secrets.iter().any(|secret| by_header(secret, call)),
        Signed::Vonage => secrets.is_empty() || secrets.iter().any(|secret| as_vonage(secret, credentials, call)),
    };
    if is_genuine { Ok(()) } else { Err(Forged::BadSignature) }
}

fn is_recent(seconds: &str, now: DateTime<Utc>) -> bool {
    let at = seconds.trim().parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    at.is_some_and(|at| (now - at).abs() <= SKEW)
}

fn by_header(secret: &str, call: &Call<'_>) -> bool {
    let (Some(told), Some(time)) = (call.header(SIGNATURE), call.header(TIME)) else { return false };
    let over = [time.as_bytes(), b".", call.body].concat();
    is_recent(time, call.at) && is_mac::<Hmac<Sha256>>(secret, &over, told.strip_prefix("sha256=").unwrap_or(told))
}

/// All parameters but the signature, sorted by their names, with what would look like another one made harmless.
fn as_vonage(secret: &str, credentials: &Credentials, call: &Call<'_>) -> bool {
    let query = call.url.split_once('?').map_or("", |(_, query)| query);
    let body: &[u8] = if call.body.first() == Some(&b'{') { b"" } else { call.body };
    let mut fields: Vec<(String, String)> = [query.as_bytes(), body]
        .into_iter()
        .flat_map(pairs)
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
        .collect();
    let fields_of_json = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(call.body);
    fields.extend(fields_of_json.into_iter().flatten().map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name, text)
    }));
    let get = |name: &str| fields.iter().find(|(it, _)| it == name).map(|(_, value)| value.clone());
    let (Some(told), Some(time)) = (get("sig"), get("timestamp")) else { return false };
    fields.retain(|(name, _)| name != "sig");
    fields.sort();
    let over: String =
        fields.iter().map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_"))).collect();
    let right = match credentials.get("signature_method").to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "hmacsha1" | "sha1" | "sha1hash" => is_mac::<Hmac<Sha1>>(secret, over.as_bytes(), &told),
        "hmacsha512" | "sha512" | "sha512hash" => is_mac::<Hmac<Sha512>>(secret, over.as_bytes(), &told),
        _ => is_mac::<Hmac<Sha256>>(secret, over.as_bytes(), &told),
    };
    right && is_recent(&time, call.at)
}

/// Whether a hexadecimal text is the MAC of something, in constant time.
pub fn is_mac<M: Mac + KeyInit>(secret: &str, over: &[u8], told: &str) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(over);
    let told: Option<Vec<u8>> =
        (0..told.len().div_ceil(2)).map(|n| u8::from_str_radix(told.get(2 * n..2 * n + 2)?, 16).ok()).collect();
    told.is_some_and(|told| mac.verify_slice(&told).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_call_is_believed_for_some_minutes_with_the_old_secret_and_the_new() {
        let at = DateTime::from_timestamp(1_795_860_000, 0).unwrap();
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"new").unwrap();
        mac.update(b"1795860000.{}");
        let told: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let check = |secrets: &str, time: &str, body: &[u8], at| {
            let headers = [(SIGNATURE, told.as_str()), (TIME, time)];
            let call = Call { method: "POST", url: "https://b.example/", headers: &headers, body, at };
            check(Signed::Header, &Credentials::from([("signature_secret", secrets)]), &call).is_ok()
        };
        assert!(check("new", "1795860000", b"{}", at) && check("old new", "1795860000", b"{}", at));
        assert!(check("new", "1795860000", b"{}", at + SKEW));
        assert!(!check("new", "1795860000", b"{}", at + SKEW + TimeDelta::seconds(1)), "told again later");
        assert!(!check("new", "1795860001", b"{}", at) && !check("new", "1795860000", b"[]", at));
        assert!(!check("old", "1795860000", b"{}", at) && !check("", "1795860000", b"{}", at));
    }
}
