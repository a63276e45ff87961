//! Queries over contacts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz};

use super::domain::Known;
use crate::db::locks::{self, Lock};
use crate::db::schema::{contact_fields, contacts, files};
use crate::db::{Assembled, N, Prepared};
use crate::ids::{ContactId, UserId};
use crate::providers::Kind;

/// Notes that these contacts opted out, as their provider knows. An earlier opt-out stays.
/// Returns for whom it is news; the proof is up to the caller.
pub fn opt_out(conn: &mut PgConnection, ids: &[ContactId], now: DateTime<Utc>) -> QueryResult<Vec<ContactId>> {
    locks::take(Lock::Contact);
    // In the order in which an import locks them, so that neither waits for the other in vain.
    let news: Vec<ContactId> = contacts::table
        .filter(contacts::id.eq_any(ids))
        .filter(contacts::opted_out_at.is_null())
        .order(sql::<Text>("address COLLATE \"C\""))
        .select(contacts::id)
        .for_no_key_update()
        .load(conn)?;
    if !news.is_empty() {
        diesel::update(contacts::table.filter(contacts::id.eq_any(&news)))
            .set(contacts::opted_out_at.eq(now))
            .execute(conn)?;
    }
    Ok(news)
}

/// Makes a contact of every address of an import that is not one yet, and tells
/// the others what is new about them. `n_rows`: how many addresses it has.
///
/// The import stands in the temporary tables `import_rows` and `import_repeats`
/// of this connection, in whose transaction this has to be called. `fields`: names of its columns.
pub fn take_imported(conn: &mut PgConnection, kind: Kind, n_rows: i64, fields: &[&str]) -> QueryResult<()> {
    let respelled = make_known(conn, fields)?;
    // A plain INSERT takes half the time of one that is ready for conflicts, and
    // a conflict is rare: somebody else has to add the same address right now.
    let plain = conn.transaction(|conn| insert_new(conn, include_str!("add_imported.sql"), kind, respelled));
    let n_new = match plain {
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
            let sql = concat!(include_str!("add_imported.sql"), "ON CONFLICT (kind, address) DO NOTHING");
            insert_new(conn, sql, kind, respelled)?
        }
        result => result?,
    };
    if n_new as i64 == n_rows {
        return Ok(());
    }
    locks::take(Lock::Contact);
    let merge = diesel::sql_query(include_str!("merge_imported.sql")).bind::<Text, _>(kind).bind::<Bool, _>(respelled);
    merge.execute(conn).map(drop)
}

fn insert_new(conn: &mut PgConnection, sql: &str, kind: Kind, respelled: bool) -> QueryResult<usize> {
    let n_rows = diesel::sql_query(sql).bind::<Text, _>(kind).bind::<Bool, _>(respelled).execute(conn)?;
    // Whoever joins with contacts next should know how many there are now.
    if n_rows > 10_000 {
        conn.batch_execute("ANALYZE contacts")?;
    }
    Ok(n_rows)
}

/// A contact as people look at it.
#[derive(Clone, Debug, PartialEq, QueryableByName)]
pub struct Contact {
    #[diesel(sql_type = BigInt)]
    pub id: ContactId,
    #[diesel(sql_type = Text)]
    pub kind: Kind,
    #[diesel(sql_type = Text)]
    pub address: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub customer_id: Option<String>,
    /// Object of field name to text.
    #[diesel(sql_type = Jsonb)]
    values: serde_json::Value,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub opted_out_at: Option<DateTime<Utc>>,
    /// Seems to have opted out in words of their own.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub doubted_at: Option<DateTime<Utc>>,
    /// On the blocklist right now.
    #[diesel(sql_type = Bool)]
    pub blocked: bool,
    /// Whether something bars it from being written to.
    #[diesel(sql_type = Bool)]
    pub is_barred: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub blocked_until: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    pub blocked_why: Option<String>,
}

impl Contact {
    pub fn values_json(&self) -> &serde_json::Value {
        &self.values
    }

    /// Its custom values by field name.
    pub fn values(&self) -> BTreeMap<&str, &str> {
        let fields = self.values.as_object().into_iter().flatten();
        fields.filter_map(|(field, value)| Some((field.as_str(), value.as_str()?))).collect()
    }
}

/// Adds a query that ends in rows of contacts called `c`, each with its consent
/// at `now`; `rows` adds the rows, which may have an `ord` to be ordered by.
pub fn with_consent(sql: &mut Assembled, now: DateTime<Utc>, rows: impl FnOnce(&mut Assembled)) {
    sql.sql(
        "SELECT c.id, c.kind, c.address, c.customer_id, c.\"values\", c.opted_out_at, c.doubted_at,
                r.outcome IS NOT NULL AS is_barred, r.blocked_at IS NOT NULL AS blocked, r.blocked_until, r.blocked_why
         FROM (",
    );
    rows(sql);
    sql.sql(") c JOIN reach(").text(&now.to_rfc3339()).sql("::timestamptz) r ON r.contact_id = c.id");
}

/// Whether nobody writes to this address at `now`: its person has opted out, or it is blocked.
pub fn is_barred(conn: &mut PgConnection, kind: Kind, address: &str, now: DateTime<Utc>) -> QueryResult<bool> {
    let count = diesel::sql_query(
        "SELECT (SELECT count(*) FROM contacts c JOIN reach($3) r ON r.contact_id = c.id
                 WHERE c.kind = $1 AND c.address = $2 AND r.outcome IS NOT NULL)
              + (SELECT count(*) FROM blocklist WHERE kind = $1 AND address = $2 AND (until IS NULL OR $3 < until)) AS n",
    )
    .bind::<Text, _>(kind)
    .bind::<Text, _>(address)
    .bind::<Timestamptz, _>(now);
    count.get_result::<N>(conn).map(|it| it.n > 0)
}

pub fn find(conn: &mut PgConnection, id: ContactId, now: DateTime<Utc>) -> QueryResult<Contact> {
    let mut sql = Assembled::default();
    with_consent(&mut sql, now, |sql| {
        sql.sql("SELECT * FROM contacts WHERE id = ").number(id.0);
    });
    sql.query().get_result(conn)
}

/// Who is not to be written to any more.
#[derive(Clone, Debug)]
pub enum Whom {
    Contacts(Vec<ContactId>),
    /// Those of them who have opted out, are in doubt, or are blocked.
    Addresses(Kind, Vec<String>),
    /// Everybody who has opted out, is in doubt, or is blocked.
    Barred,
}

impl Whom {
    /// Those of contacts as they are shown whom something bars.
    pub fn shown(contacts: &[Contact]) -> Whom {
        Whom::Contacts(contacts.iter().filter(|contact| contact.is_barred).map(|contact| contact.id).collect())
    }
}

/// Those of them to whom something that is claimed may still begin to leave.
pub fn on_the_wire(conn: &mut PgConnection, whom: &Whom, now: DateTime<Utc>) -> QueryResult<Vec<ContactId>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = BigInt)]
        id: ContactId,
    }
    let of = |conn: &mut PgConnection, ids: &[ContactId]| {
        Prepared(diesel::sql_query(include_str!("on_the_wire.sql")).bind::<Array<BigInt>, _>(ids)).load::<Id>(conn)
    };
    let found = match whom {
        Whom::Contacts(ids) => of(conn, ids)?,
        Whom::Addresses(kind, addresses) => match barred(conn, *kind, addresses, now)? {
            ids if ids.is_empty() => Vec::new(),
            ids => of(conn, &ids)?,
        },
        Whom::Barred => {
            let sql = diesel::sql_query(include_str!("barred_on_the_wire.sql"));
            Prepared(sql.bind::<Timestamptz, _>(now)).load(conn)?
        }
    };
    Ok(found.into_iter().map(|it| it.id).collect())
}

/// Those with these addresses who have opted out, are in doubt, or are blocked.
fn barred(
    conn: &mut PgConnection,
    kind: Kind,
    addresses: &[String],
    now: DateTime<Utc>,
) -> QueryResult<Vec<ContactId>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = BigInt)]
        contact_id: ContactId,
    }
    let ask = "SELECT contact_id FROM reach($3) WHERE kind = $1 AND address = ANY ($2) AND outcome IS NOT NULL";
    let ask =
        diesel::sql_query(ask).bind::<Text, _>(kind).bind::<Array<Text>, _>(addresses).bind::<Timestamptz, _>(now);
    Ok(Prepared(ask).load::<Id>(conn)?.into_iter().map(|it| it.contact_id).collect())
}

/// What is known about a contact, locked until this transaction ends.
pub fn lock_known(conn: &mut PgConnection, id: ContactId) -> QueryResult<Known> {
    locks::take(Lock::Contact);
    let (customer_id, values): (Option<String>, serde_json::Value) =
        contacts::table.find(id).select((contacts::customer_id, contacts::values)).for_no_key_update().first(conn)?;
    let values = serde_json::from_value(values).map_err(|error| DeserializationError(Box::new(error)))?;
    Ok(Known { customer_id, values })
}

/// A field that is new to the contact comes under the spelling that other contacts have it in.
pub fn save_known(conn: &mut PgConnection, id: ContactId, known: &Known) -> QueryResult<()> {
    let fields: Vec<&str> = known.values.keys().map(String::as_str).collect();
    make_known(conn, &fields)?;
    diesel::sql_query(
        "UPDATE contacts c SET customer_id = $2, \"values\" = coalesce((
             SELECT jsonb_object_agg(CASE WHEN jsonb_exists(c.\"values\", e.key) OR jsonb_exists($3, f.name) THEN e.key ELSE f.name END, e.value)
             FROM jsonb_each($3) e JOIN contact_fields f ON f.identity = field_identity(e.key)), '{}')
         WHERE id = $1",
    )
    .bind::<BigInt, _>(id)
    .bind::<Nullable<Text>, _>(&known.customer_id)
    .bind::<Jsonb, _>(serde_json::json!(known.values))
    .execute(conn)
    .map(drop)
}

/// Makes contacts of the addresses that are none yet.
pub fn add(conn: &mut PgConnection, kind: Kind, addresses: &[String]) -> QueryResult<()> {
    diesel::sql_query(
        "INSERT INTO contacts (kind, address)
         SELECT $1, a FROM unnest($2) a
         WHERE NOT EXISTS (SELECT FROM contacts c WHERE c.kind = $1 AND c.address = a)
         ORDER BY a COLLATE \"C\"
         ON CONFLICT DO NOTHING",
    )
    .bind::<Text, _>(kind)
    .bind::<Array<Text>, _>(addresses)
    .execute(conn)
    .map(drop)
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Notes these names of fields, unless they are known in another spelling. Returns whether one is.
pub fn make_known(conn: &mut PgConnection, fields: &[&str]) -> QueryResult<bool> {
    // In one order, so that two who make the same known do not wait for each other in a ring.
    diesel::sql_query(
        "INSERT INTO contact_fields (identity, name)
         SELECT DISTINCT ON (field_identity(n)) field_identity(n), n FROM unnest($1::text[]) n ORDER BY field_identity(n), n
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<Text>, _>(fields)
    .execute(conn)?;
    let known = contact_fields::table.filter(contact_fields::name.eq_any(fields)).count().get_result::<i64>(conn)?;
    Ok(known < fields.len() as i64)
}

/// Fields that contacts probably have: those of the newest files and of the newest contacts.
pub fn usual_fields(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    let rows: Vec<Name> = diesel::sql_query(
        "SELECT u ->> 'field' AS name
         FROM (SELECT mapping FROM files WHERE state = 'imported' ORDER BY id DESC LIMIT 200) f,
              jsonb_array_elements(coalesce(f.mapping -> 'columns', '[]')) u
         WHERE jsonb_exists(u, 'field')
         UNION
         SELECT jsonb_object_keys(\"values\") FROM (SELECT \"values\" FROM contacts ORDER BY id DESC LIMIT 1000) c
         ORDER BY name",
    )
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// Every field that a contact has had, in its one spelling.
pub fn known_fields(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    contact_fields::table.select(contact_fields::name).order(contact_fields::identity).load(conn)
}

/// Every field that a contact has. Reads all contacts.
pub fn all_fields(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    let rows: Vec<Name> = diesel::sql_query(
        "SELECT DISTINCT field AS name FROM contacts, jsonb_object_keys(\"values\") field ORDER BY name",
    )
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// The country chosen for the file imported last by this person, for numbers without their code.
pub fn usual_region(conn: &mut PgConnection, by: UserId) -> QueryResult<Option<String>> {
    files::table
        .filter(files::uploaded_by.eq(by))
        .filter(files::region.is_not_null())
        .order(files::id.desc())
        .select(files::region.assume_not_null())
        .first(conn)
        .optional()
}
