//! Who asks, and what they may.
//!
//! Four roles, each with the rights of those before it. What a handler needs stands in its
//! signature (`web::May`); what an action writes down is who did it ([`Actor`]).

use crate::ids::UserId;
use crate::words::words;

words! {
    /// What somebody may do, from looking to everything.
    #[derive(PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Role {
        Viewer = "viewer",
        Operator = "operator",
        Manager = "manager",
        Admin = "admin",
    }
}

/// A signed-in person.
///
/// Read from the database with the session, for every request anew: a person who
/// was disabled or given another role a moment ago is so in the next request.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Person {
    pub id: UserId,
    pub name: String,
    pub email: String,
    pub role: Role,
}

impl Person {
    /// Where a session keeps the person. Putting one there signs them in.
    pub const IN_SESSION: &'static str = "person";
    /// Stands in a session that could not be read just now: for how many seconds the
    /// database has not answered, or nothing when it was just busy.
    pub const UNKNOWN_IN_SESSION: &'static str = "person_unknown";

    pub fn has<R: Right>(&self) -> bool {
        self.role >= R::NEEDS
    }

    /// An address as this person is shown it.
    pub fn sees(&self, address: impl AsRef<str>) -> String {
        let address = address.as_ref();
        if self.has::<SeeAddresses>() { address.to_owned() } else { masked(address) }
    }

    /// A value or a text about somebody as this person is shown it: where their address stands in it, however it is
    /// written, it is hidden as everywhere else.
    pub fn sees_text(&self, text: impl AsRef<str>, address: impl AsRef<str>) -> String {
        let (text, address) = (text.as_ref(), address.as_ref());
        if self.has::<SeeAddresses>() { text.to_owned() } else { without_address(text, address) }
    }

    /// Whether something was found by a part of an address that this person does not see: digit by digit
    /// one would find out the rest. Asked for in full, it is shown.
    ///
    /// `asked`: what was looked for; `customer`: the customer ID, by which it may have been found as well.
    pub fn may_not_find(&self, asked: &str, address: &str, customer: Option<&str>) -> bool {
        let asked = asked.trim().to_lowercase();
        let is_number = asked.chars().all(|c| c.is_ascii_digit() || "+-() ./".contains(c));
        let part = if is_number { asked.chars().filter(char::is_ascii_digit).collect() } else { asked.clone() };
        let part = if is_number { part.trim_start_matches('0') } else { part.as_str() };
        let address = address.to_lowercase();
        let by_customer = customer.is_some_and(|id| id.to_lowercase().starts_with(&asked));
        !self.has::<SeeAddresses>() && !part.is_empty() && address.contains(part) && address != part && !by_customer
    }
}

/// An address of which one only sees that it is the same: +353 86 ••• ••67.
pub fn masked(address: &str) -> String {
    let chars: Vec<char> = address.strip_prefix('+').unwrap_or(address).chars().collect();
    let part = |from: usize, to: usize| chars.iter().skip(from).take(to - from).collect::<String>();
    let n = chars.len();
    if !(7..=15).contains(&n) || !chars.iter().all(char::is_ascii_digit) {
        return if n < 8 { "••••".to_owned() } else { format!("{}••••{}", part(0, 2), part(n - 2, n)) };
    }
    let country = country_digits(&part(0, 2));
    let hidden = "•".repeat(n.saturating_sub(country + 2 + 4));
    let gap = if hidden.is_empty() { "" } else { " " };
    format!("+{} {}{gap}{hidden} ••{}", part(0, country), part(country, country + 2), part(n - 2, n))
}

/// Digits at the end of a number that make it the same, whether its country code or a zero stands in front.
const SAME_END: usize = 7;

/// A text without somebody's address: numbers that end like theirs are shown as it is, [`masked`].
pub fn without_address(text: &str, address: &str) -> String {
    let digits = |text: &[char]| text.iter().filter(|c| c.is_ascii_digit()).collect::<String>();
    let address = address.strip_prefix('+').unwrap_or(address);
    if address.len() < SAME_END || !address.chars().all(|c| c.is_ascii_digit()) {
        return if address.is_empty() { text.to_owned() } else { text.replace(address, &masked(address)) };
    }
    let end: String = address.chars().skip(address.len() - SAME_END).collect();
    let chars: Vec<char> = text.chars().collect();
    let parts = chars.chunk_by(|a, b| may_be_of_number(*a) == may_be_of_number(*b));
    let shown = |part: &[char]| {
        let whole: String = part.iter().collect();
        if !digits(part).contains(&end) {
            return whole;
        }
        let blank = |is: bool| if is { " " } else { "" };
        format!("{}{}{}", blank(whole.starts_with(' ')), masked(address), blank(whole.ends_with(' ')))
    };
    parts.map(shown).collect()
}

/// A text with everything hidden that may be a number of somebody.
pub fn without_numbers(text: &str) -> String {
    let is_long = |digits: &[char]| digits.iter().filter(|c| c.is_ascii_digit()).count() > 4;
    let chars: Vec<char> = text.chars().collect();
    let parts = chars.chunk_by(|a, b| may_be_of_number(*a) == may_be_of_number(*b));
    parts.map(|part| if is_long(part) { "•••••".to_owned() } else { part.iter().collect() }).collect()
}

fn may_be_of_number(c: char) -> bool {
    c.is_ascii_digit() || "+-()/. ".contains(c)
}

/// How many digits of an international number that begins with these two are its country's (ITU-T E.164).
fn country_digits(two: &str) -> usize {
    const OF_TWO: &str = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 \
        81 82 84 86 90 91 92 93 94 95 98";
    if two.starts_with(['1', '7']) {
        1
    } else if OF_TWO.split(' ').any(|it| it == two) {
        2
    } else {
        3
    }
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    Person(UserId),
    /// What moves by itself: a schedule that ends, a file that is not used any more.
    Clock,
    /// Whoever may run the program on the machine.
    Shell,
    /// Somebody who has not signed in.
    Stranger,
}

impl Actor {
    /// The person, if one did it.
    pub fn person(self) -> Option<UserId> {
        match self {
            Actor::Person(id) => Some(id),
            Actor::Clock | Actor::Shell | Actor::Stranger => None,
        }
    }

    /// The word for whoever is neither a person nor the clock.
    pub fn other(self) -> Option<&'static str> {
        match self {
            Actor::Person(_) | Actor::Clock => None,
            Actor::Shell => Some("shell"),
            Actor::Stranger => Some("stranger"),
        }
    }
}

impl From<UserId> for Actor {
    fn from(id: UserId) -> Self {
        Actor::Person(id)
    }
}

/// A right that a handler can ask for in its signature.
pub trait Right: 'static {
    /// The least role that has it.
    const NEEDS: Role;
}

macro_rules! rights {
    ($($(#[$doc:meta])* $name:ident needs $role:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Right for $name {
            const NEEDS: Role = Role::$role;
        }
    )+};
}

rights! {
    /// Look at everything.
    View needs Viewer,
    /// Upload, pause, resume, answer people.
    Operate needs Operator,
    /// Take tables and transcripts away: contacts, lists, the blocklist, ledgers, proofs of consent, problems of files.
    ///
    /// A right of its own, since a table that has left cannot be called back. Whoever only looks does
    /// not have it. An operator does: rows that a file got wrong are corrected in the list of its
    /// problems, a ledger is what a run is reported with, and people ask for their transcripts. What
    /// is taken stands in the journal with who took it.
    Export needs Operator,
    /// See people's addresses in full; for others they are [`masked`].
    ///
    /// Goes with answering people: who dials, blocks and looks somebody up needs the address, who
    /// looks at how campaigns go does not.
    SeeAddresses needs Operator,
    /// Create, edit, launch, stop one.
    Manage needs Manager,
    /// People, channels, settings, words of consent.
    Administer needs Admin,
    /// STOP all.
    StopEverything needs Admin,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(role: Role) -> Person {
        Person { id: UserId(1), name: "Vic".into(), email: "vic@example.org".into(), role }
    }

    #[test]
    fn an_address_is_hidden_in_texts_however_it_is_written() {
        for text in ["353861234567", "+353 86 123 4567", "086-123 4567", "(086) 123.4567", "00353861234567"] {
            assert_eq!(without_address(text, "353861234567"), masked("353861234567"), "{text}");
        }
        let said = without_address("Call 086 123 4567 after 12:30, or 01 555 0199.", "353861234567");
        assert_eq!(said, format!("Call {} after 12:30, or 01 555 0199.", masked("353861234567")));
        assert_eq!(without_address("I am visitor-1234567, hello", "visitor-1234567"), "I am vi••••67, hello");
        assert_eq!(without_address("Anna, Cork, 17", "353861234567"), "Anna, Cork, 17");
    }

    #[test]
    fn who_only_looks_sees_the_beginning_and_the_end_of_an_address() {
        for (address, shown) in [
            ("353861234567", "+353 86 ••• ••67"),
            ("+353861234567", "+353 86 ••• ••67"),
            ("12025550101", "+1 20 •••• ••01"),
            ("4915112345678", "+49 15 ••••• ••78"),
            ("1234567", "+1 23 ••67"),
            ("v-3f8a9c77", "v-••••77"),
            ("anna", "••••"),
            ("", "••••"),
        ] {
            assert_eq!(masked(address), shown, "{address}");
        }
        assert_eq!(person(Role::Viewer).sees("353861234567"), "+353 86 ••• ••67");
        for role in [Role::Operator, Role::Manager, Role::Admin] {
            assert_eq!(person(role).sees("353861234567"), "353861234567");
        }
        assert!(!person(Role::Viewer).has::<Export>() && person(Role::Operator).has::<Export>());
    }

    #[test]
    fn an_address_is_found_in_full_and_not_digit_by_digit() {
        let (viewer, operator) = (person(Role::Viewer), person(Role::Operator));
        let hidden = |asked: &str| viewer.may_not_find(asked, "353861234567", Some("C18"));
        for asked in ["353", "+353 86 123", "4567", "0861234567", "35386123456"] {
            assert!(hidden(asked), "{asked}");
            assert!(!operator.may_not_find(asked, "353861234567", None), "{asked}");
        }
        for asked in ["", "353861234567", "+353 86 123 4567", "00353861234567", "c18", "Anna", "city: Cork"] {
            assert!(!hidden(asked), "{asked}");
        }
        assert!(viewer.may_not_find("v-3f", "v-3f8a", None) && !viewer.may_not_find("V-3F8A", "v-3f8a", None));
        assert!(!viewer.may_not_find("353", "353861234567", Some("3537")), "found by the customer ID");
    }

    #[test]
    fn numbers_in_a_text_are_hidden() {
        assert_eq!(without_numbers("“+353 86 1234” is too short, see row 12"), "“•••••” is too short, see row 12");
        assert_eq!(without_numbers("in row 7: 353861234567"), "in row 7:•••••");
    }
}
