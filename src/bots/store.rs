//! Bots, their versions and their drafts.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz};

use super::domain::{Bot, BotDraft, Pinned, Sendable, Version};
use super::first::First;
use super::steps::Steps;
use crate::db::locks::{self, Lock};
use crate::db::schema::{bot_drafts, bot_versions, bots, users};
use crate::ids::{BotId, UserId};
use crate::wording::{FilledTemplate, Template};

// ---- bots ----

pub fn insert(conn: &mut PgConnection, name: &str, by: UserId, now: DateTime<Utc>) -> QueryResult<BotId> {
    diesel::insert_into(bots::table)
        .values((bots::name.eq(name), bots::created_by.eq(by), bots::created_at.eq(now)))
        .returning(bots::id)
        .get_result(conn)
        .map(BotId)
}

type BotRow = (i64, String, Option<DateTime<Utc>>);

fn bot((id, name, archived_at): BotRow) -> Bot {
    Bot { id: BotId(id), name, archived_at }
}

pub fn find(conn: &mut PgConnection, id: BotId) -> QueryResult<Bot> {
    bots::table.find(id).select((bots::id, bots::name, bots::archived_at)).first(conn).map(bot)
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: BotId) -> QueryResult<Bot> {
    locks::take(Lock::Bot);
    bots::table.find(id).select((bots::id, bots::name, bots::archived_at)).for_update().first(conn).map(bot)
}

pub fn rename(conn: &mut PgConnection, id: BotId, name: &str) -> QueryResult<()> {
    diesel::update(bots::table.find(id)).set(bots::name.eq(name)).execute(conn).map(drop)
}

pub fn set_archived_at(conn: &mut PgConnection, id: BotId, at: Option<DateTime<Utc>>) -> QueryResult<()> {
    diesel::update(bots::table.find(id)).set(bots::archived_at.eq(at)).execute(conn).map(drop)
}

/// A bot as the list of them shows it.
#[derive(Clone, Debug, QueryableByName)]
pub struct ListedBot {
    #[diesel(sql_type = BigInt)]
    pub id: BotId,
    #[diesel(sql_type = Text)]
    pub name: String,
    /// The newest version.
    #[diesel(sql_type = Nullable<Integer>)]
    pub n: Option<i32>,
    #[diesel(sql_type = Bool)]
    pub draft_differs: bool,
    #[diesel(sql_type = Nullable<Text>)]
    pub who: Option<String>,
    /// When it was published or edited last, and by whom.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
}

/// Bots whose name holds `q`, by name, beginning after the name `after`.
pub fn list(conn: &mut PgConnection, q: &str, after: &str, archived: bool, n: i64) -> QueryResult<Vec<ListedBot>> {
    diesel::sql_query(
        "SELECT b.id, b.name, v.n, d.steps IS DISTINCT FROM v.steps AS draft_differs, u.name AS who,
                greatest(d.changed_at, v.made_at) AS at
         FROM bots b
         JOIN bot_drafts d ON d.bot_id = b.id
         LEFT JOIN LATERAL (SELECT * FROM bot_versions v WHERE v.bot_id = b.id ORDER BY n DESC LIMIT 1) v ON true
         LEFT JOIN users u ON u.id = CASE WHEN v.made_at >= d.changed_at THEN v.made_by ELSE d.changed_by END
         WHERE strpos(lower(b.name), lower($1)) > 0 AND lower(b.name) > lower($2) AND (b.archived_at IS NOT NULL) = $3
         ORDER BY lower(b.name) LIMIT $4",
    )
    .bind::<Text, _>(q)
    .bind::<Text, _>(after)
    .bind::<Bool, _>(archived)
    .bind::<BigInt, _>(n)
    .load(conn)
}

// ---- versions ----

fn steps(value: serde_json::Value) -> QueryResult<Steps> {
    serde_json::from_value(value).map_err(|error| DeserializationError(format!("bots: not steps: {error}").into()))
}

type VersionRow = (i32, serde_json::Value, String, Option<String>, DateTime<Utc>);

fn version((n, value, note, made_by, made_at): VersionRow) -> QueryResult<Version> {
    Ok(Version { n, steps: steps(value)?, note, made_by, made_at })
}

/// All versions, newest first.
pub fn versions(conn: &mut PgConnection, id: BotId) -> QueryResult<Vec<Version>> {
    let rows: Vec<VersionRow> = bot_versions::table
        .left_join(users::table)
        .filter(bot_versions::bot_id.eq(id))
        .order(bot_versions::n.desc())
        .select((
            bot_versions::n,
            bot_versions::steps,
            bot_versions::note,
            users::name.nullable(),
            bot_versions::made_at,
        ))
        .load(conn)?;
    rows.into_iter().map(version).collect()
}

pub fn find_version(conn: &mut PgConnection, id: BotId, n: i32) -> QueryResult<Version> {
    let row: VersionRow = bot_versions::table
        .left_join(users::table)
        .filter(bot_versions::bot_id.eq(id))
        .filter(bot_versions::n.eq(n))
        .select((
            bot_versions::n,
            bot_versions::steps,
            bot_versions::note,
            users::name.nullable(),
            bot_versions::made_at,
        ))
        .first(conn)?;
    version(row)
}

pub fn newest_version(conn: &mut PgConnection, id: BotId) -> QueryResult<Option<Version>> {
    let n: Option<i32> = bot_versions::table
        .filter(bot_versions::bot_id.eq(id))
        .select(diesel::dsl::max(bot_versions::n))
        .first(conn)?;
    n.map(|n| find_version(conn, id, n)).transpose()
}

/// Published bots that are not archived, by name, and those of `also` that are.
pub fn sendable(conn: &mut PgConnection, also: &[BotId]) -> QueryResult<Vec<Sendable>> {
    let also: Vec<i64> = also.iter().map(|id| id.0).collect();
    let rows: Vec<(i64, String, Option<DateTime<Utc>>, i32)> = bots::table
        .inner_join(bot_versions::table.on(bot_versions::bot_id.eq(bots::id)))
        .filter(bots::archived_at.is_null().or(bots::id.eq_any(also)))
        .order((bots::name, bots::id, bot_versions::n.desc()))
        .select((bots::id, bots::name, bots::archived_at, bot_versions::n))
        .load(conn)?;
    let mut found: Vec<Sendable> = Vec::new();
    for (id, name, archived_at, n) in rows {
        match found.last_mut().filter(|bot| bot.id.0 == id) {
            Some(bot) => bot.versions.push(n),
            None => found.push(Sendable { id: BotId(id), name, archived: archived_at.is_some(), versions: vec![n] }),
        }
    }
    Ok(found)
}

/// A campaign that sends a bot or meets people with it.
#[derive(Clone, Debug, QueryableByName)]
pub struct UsedBy {
    #[diesel(sql_type = BigInt)]
    pub bot_id: BotId,
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub name: String,
    /// As stored.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// The newest of the versions it uses.
    #[diesel(sql_type = Integer)]
    pub version: i32,
}

/// Up to `n` campaigns of each of these bots that have not ended, newest first.
pub fn used_by(conn: &mut PgConnection, bots: &[BotId], n: i64) -> QueryResult<Vec<UsedBy>> {
    diesel::sql_query(
        "SELECT b.id AS bot_id, u.* FROM unnest($1::bigint[]) AS b (id)
         CROSS JOIN LATERAL (
             SELECT c.id, c.name, c.state, max(s.bot_version) AS version
             FROM schedules s JOIN campaigns c ON c.id = s.campaign_id
             WHERE s.bot_id = b.id AND s.state <> 'stopped' AND c.state IN ('draft', 'active', 'paused')
             GROUP BY c.id ORDER BY c.id DESC LIMIT $2) u",
    )
    .bind::<Array<BigInt>, _>(bots)
    .bind::<BigInt, _>(n)
    .load(conn)
}

/// What a schedule or a run says first: its text, the first turn of its bot, or the approved text that leaves for
/// either. `zone`: its campaign's.
pub fn first(
    conn: &mut PgConnection,
    body: &str,
    bot: Option<Pinned>,
    template: Option<&FilledTemplate>,
    fields: &[String],
    zone: Tz,
) -> QueryResult<First> {
    let steps = bot.map(|bot| find_version(conn, bot.bot, bot.version)).transpose()?;
    let bot = steps.map(|version| (Arc::new(version.steps), zone));
    Ok(match (template, bot) {
        (Some(template), bot) => First::Approved(template.parse(fields), bot),
        (None, Some((steps, zone))) => First::Bot(steps, zone),
        (None, None) => First::Text(Template::parse(body, fields)),
    })
}

/// Writes a version down, for good.
pub fn insert_version(
    conn: &mut PgConnection,
    id: BotId,
    n: i32,
    steps: &Steps,
    note: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(bot_versions::table)
        .values((
            bot_versions::bot_id.eq(id),
            bot_versions::n.eq(n),
            bot_versions::steps.eq(serde_json::json!(steps)),
            bot_versions::note.eq(note),
            bot_versions::made_by.eq(by),
            bot_versions::made_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

// ---- drafts ----

pub fn insert_draft(
    conn: &mut PgConnection,
    id: BotId,
    steps: &Steps,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(bot_drafts::table)
        .values((
            bot_drafts::bot_id.eq(id),
            bot_drafts::steps.eq(serde_json::json!(steps)),
            bot_drafts::changed_by.eq(by),
            bot_drafts::changed_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

pub fn draft(conn: &mut PgConnection, id: BotId) -> QueryResult<BotDraft> {
    let (value, based_on, revision, changed_by, changed_at) = bot_drafts::table
        .left_join(users::table)
        .filter(bot_drafts::bot_id.eq(id))
        .select((
            bot_drafts::steps,
            bot_drafts::based_on,
            bot_drafts::revision,
            users::name.nullable(),
            bot_drafts::changed_at,
        ))
        .first::<(serde_json::Value, Option<i32>, i32, Option<String>, DateTime<Utc>)>(conn)?;
    Ok(BotDraft { steps: steps(value)?, based_on, revision, changed_by, changed_at })
}

/// Saves the steps as the next revision.
pub fn save_draft(
    conn: &mut PgConnection,
    id: BotId,
    steps: &Steps,
    based_on: Option<i32>,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<i32> {
    diesel::update(bot_drafts::table.find(id))
        .set((
            bot_drafts::steps.eq(serde_json::json!(steps)),
            bot_drafts::based_on.eq(based_on),
            bot_drafts::changed_by.eq(by),
            bot_drafts::changed_at.eq(now),
            bot_drafts::revision.eq(bot_drafts::revision + 1),
        ))
        .returning(bot_drafts::revision)
        .get_result(conn)
}

/// Says on which version the draft stands, without changing it.
pub fn set_based_on(conn: &mut PgConnection, id: BotId, n: i32) -> QueryResult<()> {
    diesel::update(bot_drafts::table.find(id)).set(bot_drafts::based_on.eq(n)).execute(conn).map(drop)
}
