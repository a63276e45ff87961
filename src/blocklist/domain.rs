use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;

use crate::contacts::addresses::{AddressProblem, Doubtful, TwoWays, normalise};
use crate::contacts::domain::{MOST_NAMED, keep_first};
use crate::ids::UserId;
use crate::pacing;
use crate::providers::Kind;

/// Characters of a reason at most.
const LONGEST_WHY: usize = 300;

/// One address that is blocked, or was.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockedAddress {
    pub id: i64,
    pub kind: Kind,
    pub address: String,
    /// `None`: for ever.
    pub until: Option<DateTime<Utc>>,
    pub why: Option<String>,
    pub by: Option<UserId>,
    /// The name of that person.
    pub added_by: Option<String>,
    pub added_at: DateTime<Utc>,
}

impl BlockedAddress {
    pub fn has_ended(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// An address to block.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub address: String,
    pub until: Option<DateTime<Utc>>,
    pub why: Option<String>,
}

/// Why something typed cannot be put on the list. The text is shown beside it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongAddress {
    #[error("not an address")]
    Address(AddressProblem),
    #[error("Write the last day as year-month-day, such as 2026-03-31, or leave it empty for ever.")]
    NoDate,
    #[error("This day is over. Choose a later one, or leave it empty for ever.")]
    Over,
    #[error("At most {LONGEST_WHY} characters.")]
    LongWhy,
}

/// What people type into the three fields of an entry.
#[derive(Clone, Copy, Debug)]
pub struct TypedAddress<'a> {
    pub address: &'a str,
    pub until: &'a str,
    pub why: &'a str,
}

/// How an import or a form is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    pub kind: Kind,
    /// The country of numbers without their code; empty when all have one.
    pub region: &'a str,
    pub two_ways: TwoWays,
    /// The zone in which the last day ends.
    pub zone: Tz,
    pub now: DateTime<Utc>,
}

impl Reading<'_> {
    /// Reads one entry; what is wrong is told for every field.
    pub fn entry(&self, typed: TypedAddress<'_>) -> Result<Block, Vec<WrongAddress>> {
        let mut wrong = Vec::new();
        let address = normalise(self.kind, typed.address, self.region)
            .or_else(|problem| problem.settled(self.two_ways))
            .map_err(WrongAddress::Address);
        let until = self.until(typed.until);
        let why = typed.why.trim();
        let why = match why.chars().count() {
            0 => Ok(None),
            n if n > LONGEST_WHY => Err(WrongAddress::LongWhy),
            _ => Ok(Some(why.to_owned())),
        };
        match (address, until, why) {
            (Ok(address), Ok(until), Ok(why)) => Ok(Block { address, until, why }),
            (address, until, why) => {
                wrong.extend(address.err());
                wrong.extend(until.err());
                wrong.extend(why.err());
                Err(wrong)
            }
        }
    }

    /// The end of the day that was typed.
    fn until(&self, typed: &str) -> Result<Option<DateTime<Utc>>, WrongAddress> {
        let typed = typed.trim();
        if typed.is_empty() {
            return Ok(None);
        }
        let day = NaiveDate::parse_from_str(typed, "%Y-%m-%d").map_err(|_| WrongAddress::NoDate)?;
        let next = day.checked_add_days(Days::new(1)).ok_or(WrongAddress::NoDate)?;
        // Postgres counts years so far, and nobody needs more.
        if next > NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or(next) {
            return Err(WrongAddress::NoDate);
        }
        let until = pacing::instant(next, NaiveTime::MIN, self.zone);
        if until <= self.now { Err(WrongAddress::Over) } else { Ok(Some(until)) }
    }

    /// Reads lines of address, last day and why, with or without a header that
    /// names them. Good lines are taken whatever stands in the others.
    pub fn lines(&self, text: &str) -> TypedLines {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter(text))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut lines = TypedLines::default();
        let mut columns = [Some(0), Some(1), Some(2)];
        let mut first = true;
        for record in reader.records() {
            let Ok(record) = record else { continue };
            if record.iter().all(str::is_empty) {
                continue;
            }
            if std::mem::take(&mut first)
                && let Some(named) = header(&record)
            {
                columns = named;
                continue;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let [address, until, why] = columns.map(|at| at.and_then(|at| record.get(at)).unwrap_or_default());
            // Texts that a download of ours kept from being a formula.
            let why = why.strip_prefix('\'').filter(|it| it.starts_with(['=', '+', '-', '@'])).unwrap_or(why);
            lines.doubtful.see(address, &normalise(self.kind, address, self.region));
            match self.entry(TypedAddress { address, until, why }) {
                Ok(block) => lines.good.push(block),
                Err(wrong) => {
                    lines.n_bad += 1;
                    if wrong.iter().any(|it| matches!(it, WrongAddress::Address(AddressProblem::TwoWays { .. }))) {
                        lines.unsettled.push([address, until, why].map(str::to_owned));
                    }
                    if lines.n_bad <= MOST_NAMED {
                        let text: String = address.chars().take(60).collect();
                        let says = wrong.iter().map(|wrong| self.says(wrong, &text)).collect::<Vec<_>>().join(" ");
                        lines.bad.push(BadLine { line, text, says });
                    }
                }
            }
        }
        lines.repeated = keep_first(&mut lines.good, |block| &block.address);
        lines
    }

    /// What is wrong, in words for the person who typed it.
    pub fn says(&self, wrong: &WrongAddress, address: &str) -> String {
        match wrong {
            WrongAddress::Address(AddressProblem::Missing) => "Write the address.".to_owned(),
            WrongAddress::Address(problem) => problem.says(self.kind, address, self.region),
            WrongAddress::NoDate | WrongAddress::Over | WrongAddress::LongWhy => wrong.to_string(),
        }
    }
}

/// What an import holds.
#[derive(Debug, Default, PartialEq)]
pub struct TypedLines {
    /// Each address once: its first line.
    pub good: Vec<Block>,
    /// The first of those that cannot be read.
    pub bad: Vec<BadLine>,
    pub n_bad: usize,
    /// Lines whose address an earlier line has.
    pub repeated: usize,
    /// Numbers that could be read in two ways, whatever was made of them.
    pub doubtful: Doubtful,
    /// Address, last day and why of the lines that were left out for that.
    pub unsettled: Vec<[String; 3]>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BadLine {
    pub line: u64,
    pub text: String,
    pub says: String,
}

/// Where address, last day and why stand, if this is a header that says so.
fn header(record: &csv::StringRecord) -> Option<[Option<usize>; 3]> {
    let names: Vec<String> = record.iter().map(|name| name.trim_start_matches('\u{feff}').to_lowercase()).collect();
    let place = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
    let address = place(&["address", "channel id", "phone", "phone number", "number", "mobile"])?;
    let until = place(&["until", "last day", "blocked until", "end", "end date"]);
    Some([Some(address), until, place(&["why", "reason"])])
}

/// The first separator that stands outside quotes; a reason may hold others.
fn delimiter(text: &str) -> u8 {
    let mut quoted = false;
    let mut separators = text.bytes().filter(|byte| {
        quoted ^= *byte == b'"';
        !quoted && matches!(byte, b'\t' | b';' | b',')
    });
    separators.next().unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::domain::last_day;

    fn reading() -> Reading<'static> {
        let now = "2026-03-10T12:00:00Z".parse().unwrap();
        Reading { kind: Kind::Sms, region: "IE", two_ways: TwoWays::LeaveOut, zone: chrono_tz::Europe::Dublin, now }
    }

    #[test]
    fn the_last_day_ends_at_midnight_of_the_zone() {
        let block =
            reading().entry(TypedAddress { address: "086 123 4567", until: "2026-04-01", why: " rang " }).unwrap();
        assert_eq!(block.address, "353861234567");
        // Summer time began in between.
        assert_eq!(block.until, Some("2026-04-01T23:00:00Z".parse().unwrap()));
        assert_eq!(block.why.as_deref(), Some("rang"));
        assert_eq!(last_day(block.until.unwrap(), chrono_tz::Europe::Dublin).to_string(), "2026-04-01");
    }

    #[test]
    fn today_may_be_the_last_day_and_yesterday_may_not() {
        let until =
            |day: &str| reading().entry(TypedAddress { address: "0861234567", until: day, why: "" }).map(|it| it.until);
        assert!(until("2026-03-10").is_ok());
        assert_eq!(until("2026-03-09"), Err(vec![WrongAddress::Over]));
        assert_eq!(until("9.3.2026"), Err(vec![WrongAddress::NoDate]));
        assert_eq!(until("262142-12-31"), Err(vec![WrongAddress::NoDate]));
        assert_eq!(until(""), Ok(None));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let wrong = reading().entry(TypedAddress { address: "", until: "soon", why: &"x".repeat(301) }).unwrap_err();
        assert_eq!(
            wrong,
            [WrongAddress::Address(AddressProblem::Missing), WrongAddress::NoDate, WrongAddress::LongWhy]
        );
    }

    #[test]
    fn good_lines_survive_bad_ones() {
        let lines = reading().lines("\u{feff}why;address;until\nrang;0861234567;\n;07911 1;2026-04-01\n\nagain;+353861234567;\n;0861234568;1999-01-01\n;0861234569;2026-04-01\n");
        assert_eq!(
            lines.good.iter().map(|it| it.address.as_str()).collect::<Vec<_>>(),
            ["353861234567", "353861234569"]
        );
        assert_eq!(lines.good[0].why.as_deref(), Some("rang"));
        assert_eq!(lines.repeated, 1);
        assert_eq!(lines.bad.iter().map(|it| it.line).collect::<Vec<_>>(), [3, 6]);
        assert!(lines.bad[0].says.contains("is not a phone number in Ireland"), "{}", lines.bad[0].says);
        assert!(lines.bad[1].says.contains("This day is over"));
    }

    #[test]
    fn lines_need_no_header() {
        let lines = reading().lines("0861234567\n0861234568,2026-04-01,\"rang, twice\"\n");
        assert_eq!(lines.good.len(), 2);
        assert_eq!(lines.good[1].why.as_deref(), Some("rang, twice"));
        assert_eq!(lines.bad, []);
    }

    #[test]
    fn a_reason_may_hold_other_separators() {
        for (text, why) in [
            ("0861234567,2026-04-01,\"rang; twice\"\n", "rang; twice"),
            ("0861234567,2026-04-01,rang; twice\n", "rang; twice"),
            ("0861234567;2026-04-01;rang, twice\n", "rang, twice"),
            ("\"why; or not\",address,until,why\n,0861234567,2026-04-01,rang\n", "rang"),
        ] {
            let lines = reading().lines(text);
            assert_eq!(lines.bad, [], "{text}");
            assert_eq!(lines.good[0].address, "353861234567");
            assert_eq!(lines.good[0].why.as_deref(), Some(why));
        }
    }
}
