use std::net::IpAddr;

use argon2::Argon2;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use chrono::{DateTime, TimeDelta, Utc};

use crate::ids::UserId;
use crate::web::{Person, Role};

/// A session that is not used for so long is over.
pub const IDLE: TimeDelta = TimeDelta::hours(12);

/// Somebody who can sign in, or could before they were disabled.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub name: String,
    pub role: Role,
    /// From this instant nobody signs in as them.
    pub disabled_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

impl User {
    pub fn as_person(&self) -> Person {
        Person { id: self.id, name: self.name.clone(), email: self.email.clone(), role: self.role }
    }
}

/// Somebody to be added.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub email: String,
    pub name: String,
    pub role: Role,
    pub password: String,
}

/// Why things stayed as they were. The text is shown to the person who asked.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("Somebody with this e-mail address is here already.")]
    EmailTaken,
    #[error("You cannot disable yourself.")]
    Yourself,
    #[error("This is the last admin. Without one, nobody could manage people.")]
    LastAdmin,
    #[error("This person is disabled already.")]
    AlreadyDisabled,
    #[error("This person is enabled already.")]
    AlreadyEnabled,
}

/// An e-mail address the way we compare and keep it.
pub fn tidy_email(typed: &str) -> String {
    // 254 is the longest address that mail can be sent to (RFC 5321, erratum 1690).
    typed.trim().chars().filter(|char| !char.is_control()).take(254).collect::<String>().to_lowercase()
}

/// What is wrong with a tidied e-mail address.
pub fn email_trouble(email: &str) -> Option<&'static str> {
    let looks_right = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains('@') && !email.contains(char::is_whitespace)
    });
    (!looks_right).then_some("Enter an e-mail address, such as name@example.org.")
}

pub fn name_trouble(name: &str) -> Option<&'static str> {
    match name.trim() {
        "" => Some("Enter a name."),
        name if name.chars().count() > 100 => Some("Use 100 characters at most."),
        name if name.contains(char::is_control) => Some("Use letters, digits and spaces."),
        _ => None,
    }
}

/// What is wrong with a new password. Length is all that is asked for: rules about
/// kinds of characters make passwords worse (NIST SP 800-63B, section 3.1.1.2).
pub fn password_trouble(password: &str) -> Option<&'static str> {
    match password.chars().count() {
        0..10 => Some("Use 10 characters or more."),
        10..=200 => None,
        _ => Some("Use 200 characters at most."),
    }
}

/// The password as it is kept: argon2id with its default cost (19 MiB, two passes,
/// the least that OWASP's password storage cheat sheet asks for) and a fresh salt.
///
/// Takes tens of milliseconds by design.
pub fn hash_password(password: &str) -> password_hash::Result<String> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

/// Whether `password` is the one behind `hash`; without a hash, never, but after the same time.
pub fn is_password(password: &str, hash: Option<&str>) -> bool {
    let right = Argon2::default().verify_password(password.as_bytes(), hash.unwrap_or(NOBODY)).is_ok();
    right && hash.is_some()
}

/// Costs as much to check as [`hash_password`] spends, and belongs to no password we know.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGF0IGFsbCE$8mbsQt1nOj4vCB3rW4N6iPbsXv6gXl9c8ABq7kZk0Yw";

/// So many failures within [`WINDOW`] suspend an e-mail address.
pub const FAILURES_OF_EMAIL: usize = 5;
/// The same for the network a browser is in, where a whole office may share one address.
pub const FAILURES_OF_PEER: usize = 50;
/// Also how long a suspension lasts after the last failure.
pub const WINDOW: TimeDelta = TimeDelta::minutes(15);

/// Until when nobody gets in, if failures suspend at `now`.
///
/// `latest`: when attempts failed, newest first. Failures older than two
/// [`WINDOW`]s cannot matter any more.
pub fn suspended_until(latest: &[DateTime<Utc>], limit: usize, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let newest = latest.first()?;
    let enough = latest.get(limit.checked_sub(1)?)?;
    let until = *newest + WINDOW;
    (*newest - *enough < WINDOW && now < until).then_some(until)
}

/// The network that failures are counted for.
///
/// A single subscriber commonly holds a whole IPv6 /64, so its addresses count as one.
pub fn peer_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        "2026-03-02T09:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minute)
    }

    fn until(minutes: &[i64], now: i64) -> Option<DateTime<Utc>> {
        let mut latest: Vec<_> = minutes.iter().map(|minute| at(*minute)).collect();
        latest.reverse();
        suspended_until(&latest, 5, at(now))
    }

    #[test]
    fn five_failures_suspend_until_a_quarter_of_an_hour_after_the_last() {
        assert_eq!(until(&[0, 1, 2, 3], 3), None);
        assert_eq!(until(&[0, 1, 2, 3, 4], 4), Some(at(19)));
        assert_eq!(until(&[0, 1, 2, 3, 4], 18), Some(at(19)));
        assert_eq!(until(&[0, 1, 2, 3, 4], 19), None);
    }

    #[test]
    fn failures_far_apart_do_not_suspend() {
        assert_eq!(until(&[0, 5, 10, 15, 20], 20), None);
    }

    #[test]
    fn after_a_suspension_five_fresh_failures_are_needed() {
        assert_eq!(until(&[4, 4, 4, 4, 4, 19], 19), None);
        assert_eq!(until(&[0, 1, 2, 3, 4, 20, 20, 20, 20, 20], 21), Some(at(35)));
    }

    #[test]
    fn addresses_are_compared_without_case_and_surrounding_spaces() {
        assert_eq!(tidy_email("  Ada@Example.ORG\n"), "ada@example.org");
        assert_eq!(email_trouble("ada@example.org"), None);
        for wrong in ["", "ada", "@example.org", "ada@", "a@b@c", "a b@c"] {
            assert!(email_trouble(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let hash = hash_password("correct horse").unwrap();
        assert!(is_password("correct horse", Some(&hash)));
        assert!(!is_password("correct house", Some(&hash)));
        assert!(!is_password("correct horse", None));
    }

    #[test]
    fn checking_for_nobody_costs_as_much_as_for_somebody() {
        let cost = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(cost(NOBODY), cost(&hash_password("correct horse").unwrap()));
        let checked = Argon2::default().verify_password(b"correct horse", NOBODY);
        assert_eq!(checked, Err(password_hash::Error::PasswordInvalid));
    }

    #[test]
    fn passwords_are_long_enough_in_characters_not_bytes() {
        assert!(password_trouble("nine char").is_some());
        assert!(password_trouble("ééééééééé").is_some());
        assert_eq!(password_trouble("ten  chars"), None);
        assert!(password_trouble(&"x".repeat(201)).is_some());
    }

    #[test]
    fn a_subscriber_counts_as_one_peer() {
        assert_eq!(peer_of("203.0.113.9".parse().unwrap()), "203.0.113.9");
        assert_eq!(peer_of("::ffff:203.0.113.9".parse().unwrap()), "203.0.113.9");
        assert_eq!(peer_of("2001:db8::1".parse().unwrap()), peer_of("2001:db8::2".parse().unwrap()));
        assert_ne!(peer_of("2001:db8::1".parse().unwrap()), peer_of("2001:db8:0:1::1".parse().unwrap()));
    }
}
