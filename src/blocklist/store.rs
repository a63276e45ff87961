use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};

use super::domain::{Block, BlockedAddress};
use crate::contacts::addresses::as_stored;
use crate::contacts::search::starts;
use crate::db::Assembled;
use crate::db::locks::{self, Lock};
use crate::ids::UserId;
use crate::providers::Kind;

#[derive(Debug, QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    kind: Kind,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    until: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    why: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    added_by: Option<UserId>,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    added_at: DateTime<Utc>,
}

const ENTRIES: &str = "SELECT b.id, b.kind, b.address, b.until, b.why, b.added_by, u.name, b.added_at
    FROM blocklist b LEFT JOIN users u ON u.id = b.added_by WHERE ";

/// Up to `n` entries whose address begins so, the newest first, older than entry `before`.
pub fn page(conn: &mut PgConnection, begins: &str, before: Option<i64>, n: i64) -> QueryResult<Vec<BlockedAddress>> {
    let mut sql = Assembled::default();
    sql.sql(ENTRIES).sql("b.id < ").number(before.unwrap_or(i64::MAX));
    if !begins.trim().is_empty() {
        sql.sql(" AND ");
        starts(&mut sql, "b.address", &as_stored(begins.trim()));
    }
    sql.sql(" ORDER BY b.id DESC LIMIT ").number(n);
    sql.query().load::<Row>(conn)?.into_iter().map(TryInto::try_into).collect()
}

/// The entry, locked until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: i64) -> QueryResult<BlockedAddress> {
    locks::take(Lock::BlocklistEntry);
    let mut sql = Assembled::default();
    sql.sql(ENTRIES).sql("b.id = ").number(id).sql(" FOR UPDATE OF b");
    sql.query().get_result::<Row>(conn)?.try_into()
}

/// Puts addresses on the list; one that is on it is held anew, as it says here.
/// Returns the entries and why. `by`: nobody when a bot did it.
pub fn put(
    conn: &mut PgConnection,
    kind: Kind,
    blocks: &[Block],
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> QueryResult<Vec<(i64, Option<String>)>> {
    #[derive(QueryableByName)]
    struct Put {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = Nullable<Text>)]
        why: Option<String>,
    }
    let (mut addresses, mut untils, mut whys) = (Vec::new(), Vec::new(), Vec::new());
    for block in blocks {
        addresses.push(block.address.as_str());
        untils.push(block.until);
        whys.push(block.why.as_deref());
    }
    // In order, so that two imports that share addresses wait for one another
    // instead of for each other.
    let put: Vec<Put> = diesel::sql_query(
        "INSERT INTO blocklist (kind, address, until, why, added_by, added_at)
         SELECT $1, address, until, why, $5, $6
         FROM unnest($2::text[], $3::timestamptz[], $4::text[]) AS u (address, until, why)
         ORDER BY address COLLATE \"C\"
         ON CONFLICT (kind, address) DO UPDATE
         SET until = excluded.until, why = excluded.why, added_by = excluded.added_by, added_at = excluded.added_at
         RETURNING id, why",
    )
    .bind::<Text, _>(kind)
    .bind::<Array<Text>, _>(addresses)
    .bind::<Array<Nullable<Timestamptz>>, _>(untils)
    .bind::<Array<Nullable<Text>>, _>(whys)
    .bind::<Nullable<BigInt>, _>(by)
    .bind::<Timestamptz, _>(now)
    .load(conn)?;
    Ok(put.into_iter().map(|put| (put.id, put.why)).collect())
}

pub fn remove(conn: &mut PgConnection, id: i64) -> QueryResult<()> {
    diesel::sql_query("DELETE FROM blocklist WHERE id = $1").bind::<BigInt, _>(id).execute(conn).map(drop)
}

impl TryFrom<Row> for BlockedAddress {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        Ok(BlockedAddress {
            id: row.id,
            kind: row.kind,
            address: row.address,
            until: row.until,
            why: row.why,
            by: row.added_by,
            added_by: row.name,
            added_at: row.added_at,
        })
    }
}
