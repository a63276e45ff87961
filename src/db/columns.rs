//! What columns and questions have in common.

use chrono_tz::Tz;
use diesel::QueryableByName;
use diesel::deserialize::{FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Text};
use std::io::Write;

/// The one number that a statement answers with, as `n`.
#[derive(QueryableByName)]
pub struct N {
    #[diesel(sql_type = BigInt)]
    pub n: i64,
}

/// A time zone, by its name in the tz database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub struct Zone(pub Tz);

impl ToSql<Text, Pg> for Zone {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> diesel::serialize::Result {
        out.write_all(self.0.name().as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<Text, Pg> for Zone {
    fn from_sql(bytes: PgValue<'_>) -> diesel::deserialize::Result<Self> {
        let name = <String as FromSql<Text, Pg>>::from_sql(bytes)?;
        name.parse().map(Zone).map_err(|_| format!("not a time zone: {name}").into())
    }
}

/// A pattern for `LIKE` and `ILIKE` that finds `text` anywhere, whatever signs it is made of.
pub fn containing(text: &str) -> String {
    format!("%{}%", literally(text))
}

/// The same for what begins with `text`.
pub fn beginning(text: &str) -> String {
    format!("{}%", literally(text))
}

fn literally(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for sign in text.chars() {
        if matches!(sign, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(sign);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_that_mean_something_to_like_are_taken_literally() {
        assert_eq!(containing("5% off_"), "%5\\% off\\_%");
        assert_eq!(beginning("a\\b"), "a\\\\b%");
    }
}
