//! Queries over contacts.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::Text;

use crate::channels::Kind;
use crate::db::schema::contacts;

/// Notes that these contacts opted out, as their provider knows. An earlier opt-out stays.
pub fn opt_out(conn: &mut PgConnection, ids: &[i64], now: DateTime<Utc>) -> QueryResult<()> {
    // In the order in which an import locks them, so that neither waits for the other in vain.
    let news: Vec<i64> = contacts::table
        .filter(contacts::id.eq_any(ids))
        .filter(contacts::opted_out_at.is_null())
        .order(sql::<Text>("address COLLATE \"C\""))
        .select(contacts::id)
        .for_no_key_update()
        .load(conn)?;
    if news.is_empty() {
        return Ok(());
    }
    diesel::update(contacts::table.filter(contacts::id.eq_any(news)))
        .set(contacts::opted_out_at.eq(now))
        .execute(conn)
        .map(drop)
}

/// Makes a contact of every address of an import that is not one yet, and tells
/// the others what is new about them. `n_rows`: how many addresses it has.
///
/// The import stands in the temporary tables `import_rows` and `import_repeats`
/// of this connection, in whose transaction this has to be called.
pub fn take_imported(conn: &mut PgConnection, kind: Kind, n_rows: i64) -> QueryResult<()> {
    // A plain INSERT takes half the time of one that is ready for conflicts, and
    // a conflict is rare: somebody else has to add the same address right now.
    let plain = conn.transaction(|conn| insert_new(conn, include_str!("add_imported.sql"), kind));
    let n_new = match plain {
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
            let sql = concat!(include_str!("add_imported.sql"), "ON CONFLICT (kind, address) DO NOTHING");
            insert_new(conn, sql, kind)?
        }
        result => result?,
    };
    if n_new as i64 == n_rows {
        return Ok(());
    }
    diesel::sql_query(include_str!("merge_imported.sql")).bind::<Text, _>(kind.word()).execute(conn).map(drop)
}

fn insert_new(conn: &mut PgConnection, sql: &str, kind: Kind) -> QueryResult<usize> {
    let n_rows = diesel::sql_query(sql).bind::<Text, _>(kind.word()).execute(conn)?;
    // Whoever joins with contacts next should know how many there are now.
    if n_rows > 10_000 {
        conn.batch_execute("ANALYZE contacts")?;
    }
    Ok(n_rows)
}
