//! store: What has left for somebody and is not known to have arrived or failed: for news that name the person, and the
//! send not by a name that we know.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Int2, Int4, Int8, Nullable, Text, Timestamptz};

use crate::db::Prepared;
use crate::deliveries::Outcome;
use crate::ids::{ChannelId, MessageId, RunId};
use crate::providers::key::{DeliveryKey, MessageKey, SendKey};

/// One send to somebody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SentTo {
    pub key: SendKey,
    /// When it was claimed: it began within about a second of that.
    pub at: DateTime<Utc>,
    pub is: SentIs,
}

/// What is known of a send that has no final word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentIs {
    /// Its answer has not been written down.
    InFlight,
    /// The provider has it, or the phone has and nobody has looked at it.
    Taken,
    Unconfirmed,
}

/// Whether it is among what the provider had by `until`. One whose answer was lost may never have come to it: what is
/// said of all that came says nothing of that one.
fn is_covered(it: &&SentTo, until: DateTime<Utc>) -> bool {
    it.at <= until && it.is == SentIs::Taken
}

/// What had left by `until`.
pub fn covered(sends: &[SentTo], until: DateTime<Utc>) -> impl Iterator<Item = SendKey> {
    sends.iter().filter(move |it| is_covered(it, until)).map(|it| it.key)
}

/// Whether something may have left by `until` of which nobody can say yet.
pub fn may_be_covered(sends: &[SentTo], until: DateTime<Utc>) -> bool {
    sends.iter().any(|it| it.at <= until && it.is == SentIs::InFlight)
}

pub fn any_in_flight(sends: &[SentTo]) -> bool {
    sends.iter().any(|it| it.is == SentIs::InFlight)
}

/// The one that is unconfirmed, where there is exactly one since `since`.
pub fn only_unconfirmed(sends: &[SentTo], since: DateTime<Utc>) -> Option<SendKey> {
    let mut them = sends.iter().filter(|it| since <= it.at && it.is == SentIs::Unconfirmed);
    them.next().filter(|_| them.next().is_none()).map(|it| it.key)
}

/// The newest sends of a channel to these addresses that have no final word, by address.
pub fn open<'a>(
    conn: &mut PgConnection,
    channel: ChannelId,
    to: impl Iterator<Item = &'a str>,
) -> QueryResult<HashMap<String, Vec<SentTo>>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        address: String,
        #[diesel(sql_type = Nullable<Int8>)]
        run_id: Option<RunId>,
        #[diesel(sql_type = Nullable<Int4>)]
        seq: Option<i32>,
        #[diesel(sql_type = Nullable<Int8>)]
        message_id: Option<i64>,
        #[diesel(sql_type = Int2)]
        attempt: i16,
        #[diesel(sql_type = Timestamptz)]
        at: DateTime<Utc>,
        #[diesel(sql_type = Bool)]
        is_settled: bool,
        #[diesel(sql_type = Nullable<Int2>)]
        outcome: Option<i16>,
    }
    let mut addresses: Vec<&str> = to.collect();
    if addresses.is_empty() {
        return Ok(HashMap::new());
    }
    addresses.sort_unstable();
    addresses.dedup();
    let find = diesel::sql_query(include_str!("sent_to.sql"))
        .bind::<Int8, _>(channel)
        .bind::<Array<Text>, _>(addresses)
        .bind::<Int2, _>(Outcome::Unconfirmed.code());
    let rows: Vec<Row> = Prepared(find).load(conn)?;
    let mut open: HashMap<String, Vec<SentTo>> = HashMap::new();
    for row in rows {
        let (attempt, at) = (row.attempt, row.at);
        let key = match (row.run_id, row.seq, row.message_id) {
            (Some(run), Some(seq), _) => DeliveryKey { run, seq, attempt }.into(),
            (_, _, Some(id)) => MessageKey { id: MessageId(id), attempt }.into(),
            _ => continue,
        };
        let is = match (row.is_settled, row.outcome.and_then(Outcome::of_code)) {
            (false, _) => SentIs::InFlight,
            (true, Some(Outcome::Unconfirmed)) => SentIs::Unconfirmed,
            (true, _) => SentIs::Taken,
        };
        open.entry(row.address).or_default().push(SentTo { key, at, is });
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(n: i64, second: i64, is: SentIs) -> SentTo {
        let at = DateTime::from_timestamp(second, 0).unwrap();
        SentTo { key: MessageKey { id: MessageId(n), attempt: 1 }.into(), at, is }
    }

    #[test]
    fn what_came_by_an_instant_is_what_was_taken_before() {
        let sends = [
            sent(1, 10, SentIs::Taken),
            sent(2, 10, SentIs::Unconfirmed),
            sent(3, 11, SentIs::Taken),
            sent(4, 11, SentIs::InFlight),
        ];
        let by = |second| DateTime::from_timestamp(second, 0).unwrap();
        let keys = |n: usize| sends[..n].iter().map(|it| it.key).collect::<Vec<_>>();
        assert_eq!(covered(&sends, by(10)).collect::<Vec<_>>(), keys(1), "what got no answer may never have come");
        assert_eq!(covered(&sends, by(11)).count(), 2);
        assert_eq!((may_be_covered(&sends, by(10)), may_be_covered(&sends, by(11))), (false, true));
        assert!(any_in_flight(&sends) && !any_in_flight(&sends[..3]));
    }

    #[test]
    fn of_two_unconfirmed_ones_neither_is_meant() {
        let sends = [sent(1, 10, SentIs::Unconfirmed), sent(2, 10, SentIs::Taken), sent(3, 12, SentIs::Unconfirmed)];
        let since = |second| DateTime::from_timestamp(second, 0).unwrap();
        assert_eq!(only_unconfirmed(&sends[..2], since(0)), Some(sends[0].key));
        assert_eq!(only_unconfirmed(&sends, since(0)), None);
        assert_eq!(only_unconfirmed(&sends, since(11)), Some(sends[2].key), "the other is too old");
        assert_eq!(only_unconfirmed(&sends[1..2], since(0)), None);
    }
}
