use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::db::Reason;
use crate::ids::ListId;
use crate::providers::Kind;
use crate::words::words;

/// Conditions of one filter at most.
pub const MOST_CONDITIONS: usize = 20;
/// Characters of a compared text at most.
const LONGEST_VALUE: usize = 500;
/// Characters of a name at most.
const LONGEST_NAME: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub struct List {
    pub id: ListId,
    pub name: String,
    pub kind: Kind,
    /// `None` for a list kept by hand.
    pub filter: Option<Filter>,
    pub created_at: DateTime<Utc>,
}

/// Why a list stayed as it was. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("Give it a name.")]
    NoName,
    #[error("At most {LONGEST_NAME} characters.")]
    NameTooLong,
    #[error("Another list is called “{0}”. Choose a name of its own.")]
    NameTaken(String),
    #[error("A campaign uses this list. Take it out of the campaign first.")]
    InUse,
    #[error("This list has a filter: whoever matches is in it. Change the filter instead.")]
    HasFilter,
    #[error("This list is kept by hand and has no filter.")]
    HasNoFilter,
    #[error("This file is not imported, so it has no contacts. Import it first.")]
    NotImported,
    #[error("The file has addresses of another kind than the list.")]
    OtherKind,
}

impl Reason for Refused {}

/// A name as it is kept.
pub fn name(typed: &str) -> Result<String, Refused> {
    let name = typed.trim();
    match name.chars().count() {
        0 => Err(Refused::NoName),
        n if n > LONGEST_NAME => Err(Refused::NameTooLong),
        _ => Ok(name.to_owned()),
    }
}

/// Who is in a list: contacts for whom all or any of these hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    pub join: Join,
    pub conditions: Vec<Condition>,
}

words! {
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Join {
        #[default]
        All = "all",
        Any = "any",
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    pub field: Field,
    pub op: FilterOp,
    /// Empty for an operation that compares with nothing.
    pub value: String,
}

/// What a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    Address,
    CustomerId,
    /// The custom value of this name.
    Value(String),
}

impl Field {
    /// The word on forms.
    pub fn word(&self) -> Cow<'static, str> {
        match self {
            Field::Address => "address".into(),
            Field::CustomerId => "customer_id".into(),
            Field::Value(name) => format!("value:{name}").into(),
        }
    }

    pub fn of_word(word: &str) -> Option<Field> {
        match word {
            "address" => Some(Field::Address),
            "customer_id" => Some(Field::CustomerId),
            word => {
                let name = word.strip_prefix("value:")?.trim();
                (!name.is_empty()).then(|| Field::Value(name.to_owned()))
            }
        }
    }

    pub fn label(&self) -> &str {
        match self {
            Field::Address => "Address",
            Field::CustomerId => "Customer ID",
            Field::Value(name) => name,
        }
    }
}

words! {
    /// How a condition compares. Texts are compared without regard to capitals.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum FilterOp {
        Is = "is" => "is",
        IsNot = "is_not" => "is not",
        Contains = "contains" => "contains",
        StartsWith = "starts_with" => "starts with",
        IsEmpty = "is_empty" => "is empty",
        IsNotEmpty = "is_not_empty" => "is not empty",
        GreaterThan = "greater_than" => "is greater than",
        LessThan = "less_than" => "is less than",
        Before = "before" => "is before",
        After = "after" => "is after",
    }
}

impl FilterOp {
    pub fn compares(self) -> bool {
        !matches!(self, FilterOp::IsEmpty | FilterOp::IsNotEmpty)
    }
}

/// Why something typed is no condition. The text is shown beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCondition {
    #[error("Choose what to look at.")]
    NoField,
    #[error("Choose how to compare.")]
    NoOp,
    #[error("Say what to compare with.")]
    NoValue,
    #[error("Write a number, such as 100 or 12.50.")]
    NoNumber,
    #[error("Write a date as year-month-day, such as 2026-03-31.")]
    NoDate,
    #[error("At most {LONGEST_VALUE} characters.")]
    TooLong,
}

impl Condition {
    /// Reads a condition as a form has it.
    pub fn parse(field: &str, op: &str, value: &str) -> Result<Condition, NoCondition> {
        let field = Field::of_word(field).ok_or(NoCondition::NoField)?;
        let op = FilterOp::of_word(op).ok_or(NoCondition::NoOp)?;
        let value = value.trim();
        if !op.compares() {
            return Ok(Condition { field, op, value: String::new() });
        }
        if value.is_empty() {
            return Err(NoCondition::NoValue);
        }
        if value.chars().count() > LONGEST_VALUE {
            return Err(NoCondition::TooLong);
        }
        let value = match op {
            FilterOp::GreaterThan | FilterOp::LessThan => number(value).ok_or(NoCondition::NoNumber)?,
            FilterOp::Before | FilterOp::After => {
                let date = NaiveDate::parse_from_str(value, "%Y-%m-%d").map_err(|_| NoCondition::NoDate)?;
                date.format("%Y-%m-%d").to_string()
            }
            FilterOp::Is
            | FilterOp::IsNot
            | FilterOp::Contains
            | FilterOp::StartsWith
            | FilterOp::IsEmpty
            | FilterOp::IsNotEmpty => value.to_owned(),
        };
        Ok(Condition { field, op, value })
    }

    /// The condition in words, such as `city is “Leeds”`.
    pub fn words(&self) -> String {
        let (field, op) = (self.field.label(), self.op.label());
        match self.op {
            FilterOp::IsEmpty | FilterOp::IsNotEmpty => format!("{field} {op}"),
            FilterOp::GreaterThan | FilterOp::LessThan | FilterOp::Before | FilterOp::After => {
                format!("{field} {op} {}", self.value)
            }
            FilterOp::Is | FilterOp::IsNot | FilterOp::Contains | FilterOp::StartsWith => {
                format!("{field} {op} “{}”", self.value)
            }
        }
    }
}

impl Filter {
    /// The filter in words.
    pub fn words(&self) -> String {
        let joint = match self.join {
            Join::All => " and ",
            Join::Any => " or ",
        };
        self.conditions.iter().map(Condition::words).collect::<Vec<_>>().join(joint)
    }
}

/// A number as people write it, without the commas between thousands: what
/// Postgres reads as `numeric`.
fn number(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { "-" } else { "" }, rest),
        None => ("", text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let whole = match whole.split(',').collect::<Vec<_>>().as_slice() {
        [all] => (*all).to_owned(),
        [first, groups @ ..] if first.len() <= 3 && groups.iter().all(|group| group.len() == 3) => {
            whole.replace(',', "")
        }
        _ => return None,
    };
    let is_digits = |text: &str| (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(&whole) || !is_digits(part) {
        return None;
    }
    let part = if digits.contains('.') { format!(".{part}") } else { String::new() };
    Some(format!("{sign}{whole}{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(op: &str, value: &str) -> Result<String, NoCondition> {
        Condition::parse("value:city", op, value).map(|it| it.value)
    }

    #[test]
    fn a_condition_says_itself_in_words() {
        let words = |field: &str, op: &str, value: &str| Condition::parse(field, op, value).unwrap().words();
        assert_eq!(words("value:city", "is", " Leeds "), "city is “Leeds”");
        assert_eq!(words("customer_id", "is_empty", "left over"), "Customer ID is empty");
        assert_eq!(words("value:balance", "greater_than", "1,000.50"), "balance is greater than 1000.50");
        assert_eq!(words("address", "starts_with", "353"), "Address starts with “353”");
        assert_eq!(words("value:due", "before", "2026-03-31"), "due is before 2026-03-31");
    }

    #[test]
    fn a_filter_joins_its_conditions() {
        let condition = |value: &str| Condition::parse("value:city", "is", value).unwrap();
        let filter = Filter { join: Join::Any, conditions: vec![condition("Leeds"), condition("Cork")] };
        assert_eq!(filter.words(), "city is “Leeds” or city is “Cork”");
        assert_eq!(Filter { join: Join::All, ..filter }.words(), "city is “Leeds” and city is “Cork”");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(Condition::parse("", "is", "x"), Err(NoCondition::NoField));
        assert_eq!(Condition::parse("value: ", "is", "x"), Err(NoCondition::NoField));
        assert_eq!(parse("equals", "x"), Err(NoCondition::NoOp));
        assert_eq!(parse("contains", "  "), Err(NoCondition::NoValue));
        assert_eq!(parse("is", &"x".repeat(501)), Err(NoCondition::TooLong));
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (typed, read) in [("7", "7"), ("-7.50", "-7.50"), ("+1,234,567", "1234567"), ("0.5", "0.5")] {
            assert_eq!(parse("less_than", typed), Ok(read.to_owned()));
        }
        for typed in ["seven", "1,23", "1.2.3", ".5", "1e5", "--1", "1,,000", "NaN", &"1".repeat(21)] {
            assert_eq!(parse("greater_than", typed), Err(NoCondition::NoNumber), "{typed}");
        }
    }

    #[test]
    fn dates_are_days_that_exist() {
        assert_eq!(parse("after", "2026-2-3"), Ok("2026-02-03".to_owned()));
        for typed in ["2026-02-30", "31.03.2026", "tomorrow"] {
            assert_eq!(parse("before", typed), Err(NoCondition::NoDate), "{typed}");
        }
    }

    #[test]
    fn words_on_forms_come_back_as_what_they_were() {
        for op in FilterOp::ALL {
            assert_eq!(FilterOp::of_word(op.word()), Some(op));
        }
        for field in [Field::Address, Field::CustomerId, Field::Value("address".into())] {
            assert_eq!(Field::of_word(&field.word()), Some(field));
        }
        assert_eq!(Field::of_word("city"), None);
    }

    #[test]
    fn a_filter_is_stored_as_it_was() {
        let conditions = FilterOp::ALL.map(|op| {
            Condition::parse("value:due", op.word(), "2026-03-31")
                .or_else(|_| Condition::parse("customer_id", op.word(), "5"))
                .unwrap()
        });
        let filter = Filter { join: Join::Any, conditions: conditions.into() };
        assert_eq!(serde_json::from_value::<Filter>(serde_json::json!(filter)).unwrap(), filter);
    }

    #[test]
    fn a_name_is_trimmed_and_there() {
        assert_eq!(name("  VIP "), Ok("VIP".to_owned()));
        assert_eq!(name(" "), Err(Refused::NoName));
        assert_eq!(name(&"x".repeat(101)), Err(Refused::NameTooLong));
    }
}
