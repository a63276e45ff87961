use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ids::{ChannelId, VisitorId};

/// How long a token is good for.
const LASTS: TimeDelta = TimeDelta::days(90);
/// A token with less left than this is exchanged for a fresh one.
const RENEWED: TimeDelta = TimeDelta::days(60);

/// The longest message, in bytes.
pub const LONGEST: usize = 4096;
/// Messages that a visitor may write in any 60 seconds.
pub const A_MINUTE: i64 = 20;

/// Says who a visitor is. Good for one channel, whose `secret` signs it.
pub fn token(secret: &str, channel: ChannelId, visitor: VisitorId, now: DateTime<Utc>) -> String {
    let until = (now + LASTS).timestamp();
    let seal = seal(secret, channel, visitor, until).finalize().into_bytes();
    let seal: String = seal.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{visitor}.{until}.{seal}")
}

/// Who a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownVisitor {
    pub visitor: VisitorId,
    /// It is time for a fresh token.
    pub renew: bool,
}

/// Reads what [`token`] wrote; `None` for one that is forged, of another channel, or too old.
pub fn read_token(secret: &str, channel: ChannelId, text: &str, now: DateTime<Utc>) -> Option<KnownVisitor> {
    let mut parts = text.split('.');
    let (id, until, told) = (parts.next()?, parts.next()?, parts.next()?);
    let (visitor, until) = (VisitorId(id.parse().ok()?), until.parse::<i64>().ok()?);
    if parts.next().is_some() || !told.is_ascii() || told.len() != 64 {
        return None;
    }
    let told: Option<Vec<u8>> = (0..32).map(|n| u8::from_str_radix(told.get(n * 2..n * 2 + 2)?, 16).ok()).collect();
    seal(secret, channel, visitor, until).verify_slice(&told?).ok()?;
    let left = until - now.timestamp();
    (left > 0).then_some(KnownVisitor { visitor, renew: left < RENEWED.num_seconds() })
}

fn seal(secret: &str, channel: ChannelId, visitor: VisitorId, until: i64) -> Hmac<Sha256> {
    // HMAC takes keys of any length.
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("webchat visitor {channel} {visitor} {until}").as_bytes());
    mac
}

/// Whether a widget may call a message so.
pub fn is_client_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// What we call a message of a visitor.
pub fn inbound_id(visitor: VisitorId, client_id: &str) -> String {
    format!("{visitor}:{client_id}")
}

/// A message as it stands in a widget.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatLine {
    pub seq: i64,
    pub by: By,
    pub text: String,
    /// Answers to offer as buttons.
    pub choices: Vec<String>,
    pub at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    Us,
    /// The visitor, whose widget calls it so.
    Visitor {
        client_id: String,
    },
}

/// Black or white, whichever is easier to read on `#rrggbb`.
pub fn ink_on(accent: &str) -> &'static str {
    let channel = |at: usize| {
        let part = accent.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
        let share = f64::from(part) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    let light = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
    // Contrast with white against contrast with black.
    if 1.05 / (light + 0.05) >= (light + 0.05) / 0.05 { "#ffffff" } else { "#000000" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_channel_its_visitor_and_its_time() {
        let now: DateTime<Utc> = "2026-03-02T09:00:00Z".parse().unwrap();
        let (channel, visitor) = (ChannelId(3), VisitorId(12));
        let good = token("s3cret", channel, visitor, now);
        let read = |text: &str, now| read_token("s3cret", channel, text, now);
        assert_eq!(read(&good, now), Some(KnownVisitor { visitor, renew: false }));
        assert_eq!(read(&good, now + TimeDelta::days(31)), Some(KnownVisitor { visitor, renew: true }));
        assert_eq!(read(&good, now + LASTS), None, "too old");
        assert_eq!(read_token("s3cret", ChannelId(4), &good, now), None, "another channel");
        assert_eq!(read_token("other", channel, &good, now), None, "another secret");
        assert_eq!(read(&good.replacen("12.", "13.", 1), now), None, "another visitor");
        let until = good.split('.').nth(1).unwrap();
        assert_eq!(read(&good.replacen(until, "99999999999", 1), now), None, "another time");
        for not in ["", "12", "12.1", "12.1.é", "..", &format!("{good}.1"), &good[..good.len() - 1]] {
            assert_eq!(read(not, now), None, "{not}");
        }
    }

    #[test]
    fn ink_can_be_read_on_any_accent() {
        let on = |accent: &str| ink_on(accent);
        assert_eq!(
            (on("#4446d8"), on("#000000"), on("#ffffff"), on("#ffd400")),
            ("#ffffff", "#ffffff", "#000000", "#000000")
        );
    }

    #[test]
    fn names_of_messages_are_short_and_plain() {
        assert!(is_client_id("9b2f0c1e-6b1a-4c9b-8a51-0a4f5e2b7c11"));
        assert!(!is_client_id("") && !is_client_id("a:b") && !is_client_id(&"a".repeat(65)));
    }
}
