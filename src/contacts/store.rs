//! Queries over contacts.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::Text;

use crate::channels::Kind;
use crate::db::schema::contacts;

/// Notes that these contacts opted out, as their provider knows. An earlier opt-out stays.
pub fn opt_out(conn: &mut PgConnection, ids: &[i64], now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(contacts::table.filter(contacts::id.eq_any(ids)).filter(contacts::opted_out_at.is_null()))
        .set(contacts::opted_out_at.eq(now))
        .execute(conn)
        .map(drop)
}

/// Makes a contact of every address of an import that is not one yet. Returns
/// how many are new.
///
/// The import stands in the temporary tables `import_rows` and `import_repeats`
/// of this connection, in whose transaction this has to be called.
pub fn add_imported(conn: &mut PgConnection, kind: Kind) -> QueryResult<usize> {
    // A plain INSERT takes half the time of one that is ready for conflicts, and
    // a conflict is rare: somebody else has to add the same address right now.
    let plain = conn.transaction(|conn| insert_new(conn, include_str!("add_imported.sql"), kind));
    match plain {
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
            let sql = concat!(include_str!("add_imported.sql"), "ON CONFLICT (kind, address) DO NOTHING");
            insert_new(conn, sql, kind)
        }
        result => result,
    }
}

fn insert_new(conn: &mut PgConnection, sql: &str, kind: Kind) -> QueryResult<usize> {
    let n_rows = diesel::sql_query(sql).bind::<Text, _>(kind.word()).execute(conn)?;
    // Whoever joins with contacts next should know how many there are now.
    if n_rows > 10_000 {
        conn.batch_execute("ANALYZE contacts")?;
    }
    Ok(n_rows)
}
