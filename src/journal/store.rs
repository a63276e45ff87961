use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};

use super::domain::{Entry, Happened};
use crate::access::Actor;
use crate::db::schema::journal;

/// Writes it down. Call it inside the transaction that does the thing, so that
/// an entry exists exactly when the thing happened.
pub fn note(conn: &mut PgConnection, entry: Entry, now: DateTime<Utc>) -> QueryResult<()> {
    note_all(conn, &[entry], now)
}

/// The same of several things that happened together.
pub fn note_all(conn: &mut PgConnection, entries: &[Entry], now: DateTime<Utc>) -> QueryResult<()> {
    let row = |entry: &Entry<'_>| {
        (
            journal::at.eq(now),
            journal::user_id.eq(entry.by.person()),
            journal::nobody.eq(entry.by.other()),
            journal::happened.eq(entry.happened),
            journal::campaign_id.eq(entry.campaign),
            journal::subject_id.eq(entry.subject),
            journal::was.eq(entry.was.map(str::to_owned)),
            journal::became.eq(entry.became.map(str::to_owned)),
            journal::why.eq(entry.why.map(str::to_owned)),
        )
    };
    diesel::insert_into(journal::table).values(entries.iter().map(row).collect::<Vec<_>>()).execute(conn).map(drop)
}

/// Writes down that the same happened to many things, each with its why.
pub fn note_each(
    conn: &mut PgConnection,
    happened: Happened,
    subjects: &[(i64, Option<String>)],
    by: impl Into<Actor>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let by = by.into();
    let (ids, whys): (Vec<i64>, Vec<Option<&str>>) = subjects.iter().map(|(id, why)| (*id, why.as_deref())).unzip();
    diesel::sql_query(
        "INSERT INTO journal (at, user_id, nobody, happened, subject_id, why)
         SELECT $1, $2, $6, $3, id, why FROM unnest($4::bigint[], $5::text[]) AS u (id, why)",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Nullable<BigInt>, _>(by.person())
    .bind::<Text, _>(happened)
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Nullable<Text>>, _>(whys)
    .bind::<Nullable<Text>, _>(by.other())
    .execute(conn)
    .map(drop)
}
