use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use super::addresses::{Doubtful, TwoWays, normalise};
use crate::providers::Kind;

/// The last day on which a block holds that ends at this instant.
pub fn last_day(until: DateTime<Utc>, zone: Tz) -> NaiveDate {
    (until - TimeDelta::seconds(1)).with_timezone(&zone).date_naive()
}

/// Of what somebody pasted, so many pieces that are no addresses are kept and named; more are only counted.
pub const MOST_NAMED: usize = 200;

/// Addresses that somebody pasted.
#[derive(Debug, Default, PartialEq)]
pub struct Pasted {
    /// In the form in which they are kept, each once.
    pub good: Vec<String>,
    /// The first of those that are none.
    pub bad: Vec<BadAddress>,
    pub n_bad: usize,
    /// How many stood there again.
    pub repeated: usize,
    /// Those that could be read in two ways, whatever was made of them.
    pub doubtful: Doubtful,
    pub two_ways: TwoWays,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BadAddress {
    pub text: String,
    /// What is wrong with it.
    pub says: String,
}

/// Reads addresses that stand one in a line, or with commas or semicolons between them.
pub fn read_pasted(kind: Kind, text: &str, region: &str, two_ways: TwoWays) -> Pasted {
    let mut pasted = Pasted { two_ways, ..Pasted::default() };
    for piece in text.split(['\n', '\r', ',', ';', '\t']).map(str::trim).filter(|piece| !piece.is_empty()) {
        let read = normalise(kind, piece, region);
        pasted.doubtful.see(piece, &read);
        match read.or_else(|problem| problem.settled(two_ways)) {
            Ok(address) => pasted.good.push(address),
            Err(problem) => {
                pasted.n_bad += 1;
                if pasted.n_bad <= MOST_NAMED {
                    let text: String = piece.chars().take(100).collect();
                    let says = problem.says(kind, &text, region);
                    pasted.bad.push(BadAddress { text, says });
                }
            }
        }
    }
    pasted.repeated = keep_first(&mut pasted.good, |address| address);
    pasted
}

/// Keeps the first of those with the same address, in their order. Returns how many went.
pub fn keep_first<T>(all: &mut Vec<T>, address: impl Fn(&T) -> &str) -> usize {
    let n = all.len();
    let mut seen = std::collections::HashSet::with_capacity(n);
    let is_first: Vec<bool> = all.iter().map(|it| seen.insert(address(it))).collect();
    drop(seen);
    let mut is_first = is_first.into_iter();
    all.retain(|_| is_first.next().unwrap_or(true));
    n - all.len()
}

/// What is known about a contact beside its address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    pub customer_id: Option<String>,
    /// Custom values by field name; none is empty.
    pub values: BTreeMap<String, String>,
}

impl Known {
    /// What is different in `new`, by name, for the journal; empty when nothing is.
    pub fn changes(&self, new: &Known) -> String {
        let mut changes: Vec<&str> = Vec::new();
        if self.customer_id != new.customer_id {
            changes.push("customer ID");
        }
        let fields: std::collections::BTreeSet<&String> = self.values.keys().chain(new.values.keys()).collect();
        changes.extend(fields.into_iter().filter(|it| self.values.get(*it) != new.values.get(*it)).map(String::as_str));
        changes.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_numbers_are_sorted_out() {
        let pasted =
            read_pasted(Kind::Sms, "086 123 4567, +353 86 123 4568\n\n07911 1;0861234567\r\n", "IE", TwoWays::LeaveOut);
        assert_eq!(pasted.good, ["353861234567", "353861234568"]);
        assert_eq!(pasted.repeated, 1);
        assert_eq!(pasted.bad.iter().map(|bad| bad.text.as_str()).collect::<Vec<_>>(), ["07911 1"]);
        assert!(pasted.bad[0].says.contains("is not a phone number in Ireland"));
    }

    #[test]
    fn pasted_numbers_with_two_readings_follow_the_choice() {
        let read = |two_ways| read_pasted(Kind::Sms, "49331123456; 0331 123456", "DE", two_ways);
        let left = read(TwoWays::LeaveOut);
        assert_eq!((left.good, left.n_bad, left.doubtful.n), (vec!["49331123456".to_owned()], 1, 1));
        let inside = read(TwoWays::Inside);
        assert_eq!((inside.good.len(), inside.good[0].as_str(), inside.n_bad), (2, "4949331123456", 0));
        let with_code = read(TwoWays::WithCode);
        assert_eq!((with_code.good, with_code.repeated), (vec!["49331123456".to_owned()], 1));
        assert_eq!(with_code.doubtful.first[0].inside, "+49 4933 1123456");
    }

    #[test]
    fn the_journal_hears_which_values_changed_and_never_the_values() {
        let known = |customer_id: Option<&str>, values: &[(&str, &str)]| Known {
            customer_id: customer_id.map(str::to_owned),
            values: values.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect(),
        };
        let old = known(Some("17"), &[("city", "Cork"), ("name", "Anna")]);
        assert_eq!(old.changes(&old), "");
        assert_eq!(old.changes(&known(None, &[("city", "Sligo"), ("plan", "A")])), "customer ID, city, name, plan");
    }
}
