use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use chrono::{DateTime, TimeDelta, Utc};

use crate::access::{Person, Role};
use crate::db::Reason;
use crate::ids::UserId;
use crate::words::words;

words! {
    /// What happens in somebody's browser when one more waits for them in the inbox.
    #[derive(Default)]
    pub enum InboxAlerts {
        #[default]
        Off = "off" => "Nothing",
        Sound = "sound" => "A sound",
        Notice = "notice" => "A notification of the browser",
        Both = "both" => "Both",
    }
}

/// A session that is not used for so long is over.
pub const IDLE: TimeDelta = TimeDelta::hours(12);
/// And one that began so long ago, however much it is used.
pub const LONGEST_SESSION: TimeDelta = TimeDelta::days(7);

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
    #[error("You cannot change your own role.")]
    OwnRole,
}

impl Reason for Refused {}

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

/// What is wrong with a new password, whosever it is. Rules about kinds of characters make
/// passwords worse; length, and not being one of those that everybody tries first, make them
/// better (NIST SP 800-63B, section 3.1.1.2).
pub fn password_trouble(password: &str) -> Option<&'static str> {
    let different: HashSet<char> = password.chars().collect();
    match password.chars().count() {
        0..10 => Some("Use 10 characters or more."),
        201.. => Some("Use 200 characters at most."),
        _ if different.len() < 4 => Some("Use more different characters."),
        _ if is_common(password) => Some("This password is one of the first that everybody tries. Choose another."),
        _ => None,
    }
}

/// The same for somebody's password: their own address and name are no secret.
pub fn password_trouble_of(password: &str, email: &str, name: &str) -> Option<&'static str> {
    let letters =
        |text: &str| text.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect::<String>();
    let said = letters(password);
    let local = email.split('@').next().unwrap_or_default();
    let known = [letters(email), letters(local), letters(name)];
    let is_known = !said.is_empty() && known.contains(&said);
    password_trouble(password).or(is_known.then_some("Choose one that is not made of the name or e-mail address."))
}

/// Whether it is a common password, or a common word in a few digits and signs.
fn is_common(password: &str) -> bool {
    let plain = password.trim().to_lowercase();
    let word = plain.trim_matches(|c: char| !c.is_alphabetic());
    let dressed = plain.chars().count() - word.chars().count();
    COMMON.contains(plain.as_str()) || (dressed < 8 && COMMON.contains(word))
}

/// The common ones of 10 characters and more, and the common words that are shorter. From the list
/// that comes with Django, which Royce Williams made of passwords that had leaked.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// The password as it is kept: argon2id with its default cost (19 MiB, two passes,
/// the least that OWASP's password storage cheat sheet asks for) and a fresh salt.
///
/// Takes tens of milliseconds by design. Panics on a machine without random numbers.
pub fn hash_password(password: &str) -> String {
    Argon2::default().hash_password(password.as_bytes()).expect("a salt and argon2's own parameters").to_string()
}

/// Whether `password` is the one behind `hash`; without a hash, never, but after the same time.
pub fn is_password(password: &str, hash: Option<&str>) -> bool {
    let right = Argon2::default().verify_password(password.as_bytes(), hash.unwrap_or(NOBODY)).is_ok();
    right && hash.is_some()
}

/// Costs as much to check as [`hash_password`] spends, and belongs to no password we know.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGF0IGFsbCE$8mbsQt1nOj4vCB3rW4N6iPbsXv6gXl9c8ABq7kZk0Yw";

/// How long a failure is held against a browser.
pub const FORGOTTEN: TimeDelta = TimeDelta::hours(1);
/// From so many failures on the wait does not grow any more: it is four minutes then.
pub const STEPS: u32 = 9;

/// From when on the next attempt is heard, if not at once: a second after the first failure, twice
/// as long after each further one.
///
/// `latest`: when attempts failed, newest first, no more than [`STEPS`] and none that is
/// [`FORGOTTEN`]. Nobody is shut out for long, so that nobody can have others shut out.
pub fn heard_again(latest: &[DateTime<Utc>], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let newest = latest.first()?;
    let steps = u32::try_from(latest.len()).unwrap_or(STEPS).min(STEPS);
    let at = *newest + TimeDelta::seconds(1 << (steps - 1));
    (now < at).then_some(at)
}

/// Whose failures are counted together: those of a browser in which somebody has signed in with
/// this address before, or else those of the network. So strangers slow down only strangers.
pub fn whose(known_browser: Option<&str>, network: String) -> String {
    known_browser.map_or(network, |browser| format!("browser {browser}"))
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

    fn again(seconds: &[i64], now: i64) -> Option<i64> {
        let begin = at(0);
        let latest: Vec<_> = seconds.iter().rev().map(|second| begin + TimeDelta::seconds(*second)).collect();
        heard_again(&latest, begin + TimeDelta::seconds(now)).map(|at| (at - begin).num_seconds())
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_four_minutes() {
        assert_eq!(again(&[], 0), None);
        assert_eq!((again(&[0], 0), again(&[0], 1)), (Some(1), None));
        assert_eq!((again(&[0, 1], 2), again(&[0, 1], 3)), (Some(3), None));
        assert_eq!(again(&[0, 1, 3, 7], 7), Some(15));
        assert_eq!(again(&[1, 2, 3, 4, 5, 6, 7, 8, 9], 9), Some(9 + 256));
        assert_eq!(again(&[0; 40], 0), Some(256));
    }

    #[test]
    fn a_known_browser_is_counted_by_itself() {
        assert_eq!(whose(None, "203.0.113.9".into()), "203.0.113.9");
        assert_eq!(whose(Some("1f"), "203.0.113.9".into()), "browser 1f");
    }

    #[test]
    fn what_everybody_tries_first_is_no_password() {
        for common in [
            "1234567890",
            "password12",
            "Password1234",
            "!!sunshine!!",
            "qwertyuiop",
            "1111111111",
            "          ",
            "abababababab",
        ] {
            assert!(password_trouble(common).is_some(), "{common}");
        }
        for good in ["correct horse battery", "sunflowers and 12 bees", "kX7-pq2-mmN"] {
            assert_eq!(password_trouble(good), None, "{good}");
        }
        for own in ["ada.lovelace@example.org", "AdaLovelace1815", "ada-lovelace-99", "2026 Ada Lovelace"] {
            assert_eq!(password_trouble(own), None, "{own}");
            assert!(password_trouble_of(own, "ada.lovelace@example.org", "Ada Lovelace").is_some(), "{own}");
        }
        assert_eq!(password_trouble_of("4815162342 7", "ada@example.org", "7"), None);
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
        let hash = hash_password("correct horse");
        assert!(is_password("correct horse", Some(&hash)));
        assert!(!is_password("correct house", Some(&hash)));
        assert!(!is_password("correct horse", None));
    }

    #[test]
    fn checking_for_nobody_costs_as_much_as_for_somebody() {
        let cost = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(cost(NOBODY), cost(&hash_password("correct horse")));
        let checked = Argon2::default().verify_password(b"correct horse", NOBODY);
        assert_eq!(checked, Err(argon2::password_hash::Error::PasswordInvalid));
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
