//! Lists, their members, and the audiences that several lists make together.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, NotFound};
use diesel::sql_types::{Array, BigInt, Text, Timestamptz};

use super::domain::{Condition, Field, Filter, FilterOp, Join, List};
use crate::contacts::addresses::as_stored;
use crate::contacts::search::starts;
use crate::contacts::store::{Contact, with_consent};
use crate::db::locks::{self, Lock};
use crate::db::schema::{file_rows, files, list_members, lists};
use crate::db::{Assembled, N};
use crate::ids::{CampaignId, ChannelId, FileId, ListId, RunId, UserId};
use crate::providers::Kind;

// ---- lists ---------------------------------------------------------------------

pub fn insert(
    conn: &mut PgConnection,
    name: &str,
    kind: Kind,
    filter: Option<&Filter>,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<ListId> {
    diesel::insert_into(lists::table)
        .values((
            lists::name.eq(name),
            lists::kind.eq(kind),
            lists::filter.eq(filter.map(|filter| serde_json::json!(filter))),
            lists::created_by.eq(by),
            lists::created_at.eq(now),
        ))
        .returning(lists::id)
        .get_result(conn)
        .map(ListId)
}

pub fn find(conn: &mut PgConnection, id: ListId) -> QueryResult<List> {
    lists::table.find(id).select(Row::as_select()).first(conn)?.try_into()
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: ListId) -> QueryResult<List> {
    locks::take(Lock::List);
    lists::table.find(id).select(Row::as_select()).for_update().first(conn)?.try_into()
}

/// All lists, by name.
pub fn all(conn: &mut PgConnection) -> QueryResult<Vec<List>> {
    let rows: Vec<Row> = lists::table.order(lists::name).select(Row::as_select()).load(conn)?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// These lists, in any order; not found unless every one of them exists.
pub fn these(conn: &mut PgConnection, ids: &[ListId]) -> QueryResult<Vec<List>> {
    let mut wanted: Vec<i64> = ids.iter().map(|id| id.0).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let rows: Vec<Row> = lists::table.filter(lists::id.eq_any(&wanted)).select(Row::as_select()).load(conn)?;
    if rows.len() < wanted.len() {
        return Err(NotFound);
    }
    rows.into_iter().map(TryInto::try_into).collect()
}

pub fn rename(conn: &mut PgConnection, id: ListId, name: &str) -> QueryResult<()> {
    diesel::update(lists::table.find(id)).set(lists::name.eq(name)).execute(conn).map(drop)
}

pub fn set_filter(conn: &mut PgConnection, id: ListId, filter: &Filter) -> QueryResult<()> {
    let uncounted = (lists::counted.eq(None::<i64>), lists::counted_at.eq(None::<DateTime<Utc>>));
    diesel::update(lists::table.find(id))
        .set((lists::filter.eq(serde_json::json!(filter)), uncounted))
        .execute(conn)
        .map(drop)
}

/// How many contacts a filter had when it was counted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedList {
    pub n: i64,
    pub at: DateTime<Utc>,
}

/// The last counts of lists made by filter, of those that were counted.
pub fn last_counts(conn: &mut PgConnection) -> QueryResult<BTreeMap<ListId, CountedList>> {
    let rows: Vec<(i64, i64, DateTime<Utc>)> = lists::table
        .filter(lists::filter.is_not_null())
        .filter(lists::counted.is_not_null())
        .select((lists::id, lists::counted.assume_not_null(), lists::counted_at.assume_not_null()))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, n, at)| (ListId(id), CountedList { n, at })).collect())
}

/// Keeps a count of a list whose filter is still this one.
pub fn keep_count(conn: &mut PgConnection, id: ListId, filter: &Filter, counted: CountedList) -> QueryResult<()> {
    diesel::update(lists::table.find(id).filter(lists::filter.eq(serde_json::json!(filter))))
        .set((lists::counted.eq(counted.n), lists::counted_at.eq(counted.at)))
        .execute(conn)
        .map(drop)
}

/// Fails with the name of the foreign key of whatever still uses the list.
pub fn delete(conn: &mut PgConnection, id: ListId) -> QueryResult<()> {
    diesel::delete(lists::table.find(id)).execute(conn).map(drop)
}

/// Lists kept by hand that a contact is on, by name.
pub fn of_contact(conn: &mut PgConnection, contact: i64) -> QueryResult<Vec<(ListId, String)>> {
    let rows: Vec<(i64, String)> = lists::table
        .inner_join(list_members::table.on(list_members::list_id.eq(lists::id)))
        .filter(list_members::contact_id.eq(contact))
        .order(lists::name)
        .select((lists::id, lists::name))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, name)| (ListId(id), name)).collect())
}

// ---- members of lists kept by hand -----------------------------------------------

/// Makes the contacts with these addresses members. Returns how many were not.
pub fn add_addresses(
    conn: &mut PgConnection,
    list: &List,
    addresses: &[String],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::sql_query(
        "INSERT INTO list_members (list_id, contact_id, added_at)
         SELECT $1, c.id, $2 FROM contacts c WHERE c.kind = $3 AND c.address = ANY ($4)
         ON CONFLICT DO NOTHING",
    )
    .bind::<BigInt, _>(list.id)
    .bind::<Timestamptz, _>(now)
    .bind::<Text, _>(list.kind.word())
    .bind::<Array<Text>, _>(addresses)
    .execute(conn)
}

/// Makes the contacts of an imported file members. Returns how many were not.
pub fn add_file(conn: &mut PgConnection, list: ListId, file: FileId, now: DateTime<Utc>) -> QueryResult<usize> {
    let rows = file_rows::table.filter(file_rows::file_id.eq(file)).select((
        list.0.into_sql::<BigInt>(),
        file_rows::contact_id,
        now.into_sql::<Timestamptz>(),
    ));
    diesel::insert_into(list_members::table)
        .values(rows)
        .into_columns((list_members::list_id, list_members::contact_id, list_members::added_at))
        .on_conflict_do_nothing()
        .execute(conn)
}

/// Returns whether the contact was a member.
pub fn remove(conn: &mut PgConnection, list: ListId, contact: i64) -> QueryResult<bool> {
    diesel::delete(list_members::table.find((list, contact))).execute(conn).map(|n| n == 1)
}

/// Members of each list that is kept by hand, counted no further than `most`.
pub fn count_members(conn: &mut PgConnection, most: i64) -> QueryResult<Vec<(ListId, i64)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT l.id, (SELECT count(*) FROM (SELECT FROM list_members m WHERE m.list_id = l.id LIMIT $1) counted) AS n
         FROM lists l WHERE l.filter IS NULL",
    )
    .bind::<BigInt, _>(most)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| (ListId(row.id), row.n)).collect())
}

/// An imported file that a list can be made of.
#[derive(Clone, Debug, PartialEq)]
pub struct ListSource {
    pub id: FileId,
    pub name: String,
    pub kind: Kind,
    pub contacts: i64,
    pub uploaded_at: DateTime<Utc>,
}

/// The newest imported files, up to `n`.
pub fn sources(conn: &mut PgConnection, n: i64) -> QueryResult<Vec<ListSource>> {
    let rows: Vec<(FileId, String, Kind, i64, DateTime<Utc>)> = files::table
        .filter(files::state.eq("imported"))
        .filter(files::rows_good.gt(0))
        .order(files::id.desc())
        .limit(n)
        .select((files::id, files::name, files::kind, files::rows_good, files::uploaded_at))
        .load(conn)?;
    let source = |(id, name, kind, contacts, uploaded_at)| ListSource { id, name, kind, contacts, uploaded_at };
    Ok(rows.into_iter().map(source).collect())
}

// ---- audiences --------------------------------------------------------------------

/// Where an audience is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudienceTarget {
    /// As deliveries of a run, numbered from 1, with what is known about each contact now.
    Run(RunId),
    /// As the frozen audience of a campaign.
    Campaign(CampaignId),
}

/// How many contacts of this kind are in one of `include` and in none of `exclude`.
pub fn count_audience(conn: &mut PgConnection, include: &[ListId], exclude: &[ListId], kind: Kind) -> QueryResult<i64> {
    let mut sql = Assembled::default();
    sql.sql("SELECT count(*) AS n FROM contacts c WHERE ");
    audience(conn, &mut sql, include, exclude, kind)?;
    count(conn, sql)
}

/// Of those whom [`count_audience`] counts: how many a run of one of these campaigns has reached, or may have.
pub fn count_messaged(
    conn: &mut PgConnection,
    include: &[ListId],
    exclude: &[ListId],
    kind: Kind,
    by: &[CampaignId],
) -> QueryResult<i64> {
    let mut sql = Assembled::default();
    sql.sql(
        "SELECT count(*) AS n FROM contacts c
         WHERE EXISTS (SELECT FROM deliveries d JOIN real_runs r ON r.id = d.run_id
                       WHERE d.contact_id = c.id AND (d.outcome IN (0, 14) OR (d.outcome IS NULL AND d.progress IS NOT NULL))
                         AND r.campaign_id IN (0",
    );
    for id in by {
        sql.sql(", ").number(id.0);
    }
    sql.sql(")) AND ");
    audience(conn, &mut sql, include, exclude, kind)?;
    count(conn, sql)
}

/// How many of the contacts that [`count_audience`] counts have written on a channel since then.
pub fn count_heard(
    conn: &mut PgConnection,
    include: &[ListId],
    exclude: &[ListId],
    kind: Kind,
    channel: ChannelId,
    since: DateTime<Utc>,
) -> QueryResult<i64> {
    let mut sql = Assembled::default();
    sql.sql(
        "SELECT count(*) AS n FROM contacts c
         WHERE c.id IN (SELECT v.contact_id FROM conversations v WHERE v.channel_id = ",
    );
    sql.number(channel.0).sql(" AND EXISTS (SELECT FROM messages m WHERE m.conversation_id = v.id");
    sql.sql(" AND m.author = 'contact' AND m.at > to_timestamp(").number(since.timestamp()).sql("))) AND ");
    audience(conn, &mut sql, include, exclude, kind)?;
    count(conn, sql)
}

/// How many contacts [`count_audience`] counts, and a text that is another one as
/// soon as one of them is, or what is known of them.
pub fn audience_digest(
    conn: &mut PgConnection,
    include: &[ListId],
    exclude: &[ListId],
    kind: Kind,
) -> QueryResult<(i64, String)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        n: i64,
        #[diesel(sql_type = Text)]
        digest: String,
    }
    let mut sql = Assembled::default();
    sql.sql(
        "SELECT count(*) AS n,
                coalesce(sum(hashint8extended(c.id, jsonb_hash_extended(c.\"values\", 0))), 0)::text AS digest
         FROM contacts c WHERE ",
    );
    audience(conn, &mut sql, include, exclude, kind)?;
    sql.query().get_result::<Row>(conn).map(|row| (row.n, row.digest))
}

/// A contact of an audience.
#[derive(Debug, QueryableByName)]
pub struct Member {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub address: String,
    #[diesel(sql_type = diesel::sql_types::Jsonb)]
    pub values: serde_json::Value,
}

/// Up to `limit` contacts of the audience, by id, from the one after `after` on.
pub fn audience_after(
    conn: &mut PgConnection,
    include: &[ListId],
    exclude: &[ListId],
    kind: Kind,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<Member>> {
    let mut sql = Assembled::default();
    sql.sql("SELECT c.id, c.address, c.\"values\" FROM contacts c WHERE c.id > ").number(after).sql(" AND ");
    audience(conn, &mut sql, include, exclude, kind)?;
    sql.sql(" ORDER BY c.id LIMIT ").number(limit);
    sql.query().load(conn)
}

/// The names of the values that contacts of an audience have, up to `most` of them asked.
pub fn audience_fields(
    conn: &mut PgConnection,
    include: &[ListId],
    exclude: &[ListId],
    kind: Kind,
    most: i64,
) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        field: String,
    }
    let mut sql = Assembled::default();
    sql.sql("SELECT DISTINCT f.field FROM (SELECT c.\"values\" AS known FROM contacts c WHERE ");
    audience(conn, &mut sql, include, exclude, kind)?;
    sql.sql(" LIMIT ").number(most).sql(") asked CROSS JOIN jsonb_object_keys(known) AS f (field) ORDER BY 1");
    Ok(sql.query().load::<Row>(conn)?.into_iter().map(|row| row.field).collect())
}

/// Writes down the audience that [`count_audience`] counts, in one statement.
/// Returns how many contacts.
pub fn insert_audience(
    conn: &mut PgConnection,
    include: &[ListId],
    exclude: &[ListId],
    kind: Kind,
    into: AudienceTarget,
) -> QueryResult<usize> {
    let mut sql = Assembled::default();
    match into {
        AudienceTarget::Run(run) => sql
            .sql("INSERT INTO deliveries (run_id, seq, contact_id, address, customer_id, \"values\") SELECT ")
            .number(run.0)
            .sql(", row_number() OVER (ORDER BY c.id), c.id, c.address, c.customer_id, c.\"values\""),
        AudienceTarget::Campaign(campaign) => {
            sql.sql("INSERT INTO campaign_audience (campaign_id, contact_id) SELECT ").number(campaign.0).sql(", c.id")
        }
    };
    sql.sql(" FROM contacts c WHERE ");
    audience(conn, &mut sql, include, exclude, kind)?;
    sql.query().execute(conn)
}

/// The kind of the addresses on these lists; `None` when they are of several kinds, or none.
pub fn kind_of(conn: &mut PgConnection, ids: &[ListId]) -> QueryResult<Option<Kind>> {
    let lists = these(conn, ids)?;
    let kind = lists.first().map(|list| list.kind);
    Ok(kind.filter(|kind| lists.iter().all(|list| list.kind == *kind)))
}

/// Adds what holds for a row `c` of contacts that is in the audience.
fn audience(
    conn: &mut PgConnection,
    sql: &mut Assembled,
    include: &[ListId],
    exclude: &[ListId],
    kind: Kind,
) -> QueryResult<()> {
    let (include, exclude) = (these(conn, include)?, these(conn, exclude)?);
    sql.sql("c.kind = ").text(kind.word()).sql(" AND ");
    on_one_of(sql, &include);
    if !exclude.is_empty() {
        sql.sql(" AND NOT ");
        on_one_of(sql, &exclude);
    }
    Ok(())
}

/// Adds that a row `c` of contacts is on one of these lists: true or false, never NULL.
pub fn on_one_of(sql: &mut Assembled, lists: &[List]) {
    let by_hand: Vec<i64> = lists.iter().filter(|list| list.filter.is_none()).map(|list| list.id.0).collect();
    let filters = lists.iter().filter_map(|list| Some((list.kind, list.filter.as_ref()?)));
    // EXISTS, which becomes one join when it stands alone, and one look into an
    // index for each contact beside a filter; IN would go through all members there.
    if by_hand.is_empty() {
        sql.sql("(false");
    } else {
        sql.sql("(EXISTS (SELECT FROM list_members m WHERE m.contact_id = c.id AND m.list_id = ANY (")
            .numbers(by_hand)
            .sql("))");
    }
    for (kind, filter) in filters {
        sql.sql(" OR ");
        matches(sql, filter, kind);
    }
    sql.sql(")");
}

/// Adds that a row `c` of contacts matches a filter: true or false, never NULL.
pub fn matches(sql: &mut Assembled, filter: &Filter, kind: Kind) {
    let (joint, of_none) = match filter.join {
        Join::All => (" AND ", "true"),
        Join::Any => (" OR ", "false"),
    };
    sql.sql("(c.kind = ").text(kind.word()).sql(" AND (").sql(if filter.conditions.is_empty() { of_none } else { "" });
    for (i, condition) in filter.conditions.iter().enumerate() {
        sql.sql(if i == 0 { "" } else { joint });
        holds(sql, condition, kind);
    }
    sql.sql("))");
}

fn holds(sql: &mut Assembled, condition: &Condition, kind: Kind) {
    let Condition { field, op, value } = condition;
    // However the number was written, as it is stored.
    let value = match field {
        Field::Address if kind.is_phone() => &as_stored(value),
        Field::Address | Field::CustomerId | Field::Value(_) => value,
    };
    fn look<'a>(sql: &'a mut Assembled, field: &Field) -> &'a mut Assembled {
        match field {
            Field::Address => sql.sql("c.address"),
            Field::CustomerId => sql.sql("c.customer_id"),
            // Under whichever spelling contacts have it.
            Field::Value(name) => sql
                .sql("(c.\"values\" ->> coalesce((SELECT f.name FROM contact_fields f WHERE f.identity = field_identity(")
                .text(name)
                .sql(")), ")
                .text(name)
                .sql("))"),
        }
    }
    let text = |sql: &mut Assembled, before: &'static str, between: &'static str, after: &'static str| {
        look(sql.sql(before), field).sql(between).text(value).sql(after);
    };
    // A text that is no number is neither greater nor less than one, and CASE asks
    // that first. Only blanks and digits that Postgres takes in a number count: \s and \d
    // match others as well.
    let number = |sql: &mut Assembled, compared: &'static str| {
        look(sql.sql("coalesce(CASE WHEN "), field).sql(
            " ~ '^[ \\t\\n\\v\\f\\r]*[-+]?[0-9]{1,20}(,[0-9]{3})*(\\.[0-9]{1,20})?[ \\t\\n\\v\\f\\r]*$' THEN replace(",
        );
        look(sql, field).sql(", ',', '')::numeric").sql(compared).text(value).sql("::numeric END, false)");
    };
    // Written as ISO 8601 has it, days sort as texts.
    let date = |sql: &mut Assembled, compared: &'static str| {
        look(sql.sql("coalesce(CASE WHEN "), field).sql(" ~ '^ *[0-9]{4}-[0-9]{2}-[0-9]{2}' THEN substr(ltrim(");
        look(sql, field).sql("), 1, 10) COLLATE \"C\"").sql(compared).text(value).sql(" END, false)");
    };
    match op {
        FilterOp::Is => text(sql, "coalesce(lower(", ") = lower(", "), false)"),
        FilterOp::IsNot => text(sql, "coalesce(lower(", ") <> lower(", "), true)"),
        FilterOp::Contains => text(sql, "coalesce(strpos(lower(", "), lower(", ")) > 0, false)"),
        FilterOp::StartsWith => text(sql, "coalesce(starts_with(lower(", "), lower(", ")), false)"),
        FilterOp::IsEmpty => {
            look(sql.sql("coalesce("), field).sql(", '') = ''");
        }
        FilterOp::IsNotEmpty => {
            look(sql.sql("coalesce("), field).sql(", '') <> ''");
        }
        FilterOp::GreaterThan => number(sql, " > "),
        FilterOp::LessThan => number(sql, " < "),
        FilterOp::Before => date(sql, " < "),
        FilterOp::After => date(sql, " > "),
    }
}

/// Contacts that match a filter right now, counted no further than `most` if there is one.
pub fn count_matching(conn: &mut PgConnection, filter: &Filter, kind: Kind, most: Option<i64>) -> QueryResult<i64> {
    let mut sql = Assembled::default();
    sql.sql("SELECT count(*) AS n FROM (SELECT FROM contacts c WHERE ");
    matches(&mut sql, filter, kind);
    if let Some(most) = most {
        sql.sql(" LIMIT ").number(most);
    }
    sql.sql(") counted");
    count(conn, sql)
}

/// Which contacts of a list are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// How an address or a customer ID begins; empty for any.
    pub begins: String,
    /// Only contacts behind this one.
    pub after: i64,
}

/// Up to `n` contacts that are on a list right now, in the order in which they became contacts.
pub fn members(
    conn: &mut PgConnection,
    list: &List,
    wanted: &Wanted,
    n: i64,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Contact>> {
    let begins = wanted.begins.trim();
    let mut sql = Assembled::default();
    with_consent(&mut sql, now, |sql| {
        sql.sql("SELECT c.* FROM contacts c");
        if list.filter.is_none() {
            sql.sql(" JOIN list_members m ON m.contact_id = c.id AND m.list_id = ").number(list.id.0);
        }
        sql.sql(" WHERE c.kind = ").text(list.kind.word()).sql(" AND c.id > ").number(wanted.after);
        if let Some(filter) = &list.filter {
            matches(sql.sql(" AND "), filter, list.kind);
        }
        if !begins.is_empty() {
            sql.sql(" AND (");
            starts(sql, "lower(c.customer_id)", &begins.to_lowercase());
            let address = as_stored(begins);
            if !address.is_empty() {
                starts(sql.sql(" OR "), "c.address", &address);
            }
            sql.sql(")");
        }
        sql.sql(" ORDER BY c.id LIMIT ").number(n);
    });
    sql.sql(" ORDER BY c.id");
    sql.query().load(conn)
}

fn count(conn: &mut PgConnection, sql: Assembled) -> QueryResult<i64> {
    sql.query().get_result::<N>(conn).map(|one| one.n)
}

/// A row as stored.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = lists, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: ListId,
    name: String,
    kind: Kind,
    filter: Option<serde_json::Value>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for List {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let filter = row.filter.map(serde_json::from_value).transpose();
        Ok(List {
            id: row.id,
            name: row.name,
            kind: row.kind,
            filter: filter.map_err(|error| DeserializationError(Box::new(error)))?,
            created_at: row.created_at,
        })
    }
}

/// The names of these lists, in one line.
pub fn names_of(conn: &mut PgConnection, ids: &[ListId]) -> QueryResult<String> {
    let names: Vec<String> =
        lists::table.filter(lists::id.eq_any(ids)).order(lists::name).select(lists::name).load(conn)?;
    Ok(names.join(", "))
}
