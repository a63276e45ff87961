//! The carrier's books in Postgres.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Int8, Nullable, Text, Timestamptz};

use super::domain::{Answer, Habit, PhoneRule};
use crate::db::locks::{self, Lock};
use crate::db::schema::{sandbox_messages, sandbox_receipts, sandbox_replies, sandbox_rules};
use crate::ids::{ChannelId, UserId};
use crate::providers::sandbox::News;
use crate::providers::sandbox::{Handed, reports};
use crate::providers::{Inbound, ReceiptStatus};

/// What a phone writes by itself within an hour, at most: two that answer each other come to an end.
const MOST_AN_HOUR: i64 = 30;

/// Writes down a message, the receipts owed for it and what the phone will answer by itself. `stamped_at` is when the
/// send reached the carrier by the machine's clock, whatever the product's says.
pub fn enter(conn: &mut PgConnection, handed: &Handed, answer: Option<&Answer>, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        // A carrier's books need not survive a power cut; they must be quick.
        conn.batch_execute("SET LOCAL synchronous_commit = off")?;
        if handed.reaches {
            diesel::insert_into(sandbox_messages::table)
                .values((
                    sandbox_messages::channel_id.eq(handed.channel),
                    sandbox_messages::phone.eq(&handed.phone),
                    sandbox_messages::part.eq(&handed.part),
                    sandbox_messages::body.eq(&handed.text),
                    sandbox_messages::at.eq(now),
                    sandbox_messages::stamped_at.eq(handed.stamped_at),
                    sandbox_messages::choices
                        .eq((!handed.choices.is_empty()).then(|| serde_json::json!(handed.choices))),
                ))
                .execute(conn)?;
        }
        if let Some(answer) = answer.filter(|_| handed.reaches) {
            plan_reply(conn, handed, answer, now)?;
        }
        let receipts: Vec<_> = handed
            .receipts
            .iter()
            .map(|(after, status)| {
                (
                    sandbox_receipts::channel_id.eq(handed.channel),
                    sandbox_receipts::part.eq(&handed.part),
                    sandbox_receipts::status.eq(status),
                    sandbox_receipts::due_at.eq(now + TimeDelta::milliseconds(after.as_millis() as i64)),
                )
            })
            .collect();
        diesel::insert_into(sandbox_receipts::table).values(receipts).execute(conn)?;
        Ok(())
    })
}

/// Receipts that are due, oldest first, with their numbers in the books.
pub fn due_receipts(
    conn: &mut PgConnection,
    limit: i64,
    now: DateTime<Utc>,
) -> QueryResult<Vec<(i64, ChannelId, News)>> {
    let rows: Vec<(i64, i64, String, ReceiptStatus)> = sandbox_receipts::table
        .filter(sandbox_receipts::due_at.le(now))
        .order((sandbox_receipts::due_at, sandbox_receipts::id))
        .limit(limit)
        .select((sandbox_receipts::id, sandbox_receipts::channel_id, sandbox_receipts::part, sandbox_receipts::status))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(id, channel, part, status)| {
            let code = (status == ReceiptStatus::Failed).then(|| "absent subscriber".to_owned());
            (id, ChannelId(channel), News::Receipt { part, status, code })
        })
        .collect())
}

/// Strikes out receipts that were reported.
pub fn reported(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<()> {
    diesel::delete(sandbox_receipts::table.filter(sandbox_receipts::id.eq_any(ids))).execute(conn).map(drop)
}

fn plan_reply(conn: &mut PgConnection, to: &Handed, answer: &Answer, now: DateTime<Utc>) -> QueryResult<()> {
    let waiting: i64 = sandbox_replies::table.filter(sandbox_replies::phone.eq(&to.phone)).count().get_result(conn)?;
    let written: i64 = sandbox_messages::table
        .filter(sandbox_messages::phone.eq(&to.phone))
        .filter(sandbox_messages::part.is_null())
        .filter(sandbox_messages::at.gt(now - TimeDelta::hours(1)))
        .count()
        .get_result(conn)?;
    if waiting + written >= MOST_AN_HOUR {
        return Ok(());
    }
    diesel::insert_into(sandbox_replies::table)
        .values((
            sandbox_replies::channel_id.eq(to.channel),
            sandbox_replies::phone.eq(&to.phone),
            sandbox_replies::body.eq(&answer.text),
            sandbox_replies::due_at.eq(now + TimeDelta::milliseconds(answer.after.as_millis() as i64)),
        ))
        .execute(conn)
        .map(drop)
}

// ---- what phones write -----------------------------------------------------------

/// Writes down what a phone wrote, or somebody on it. The carrier has to report it.
pub fn write(
    conn: &mut PgConnection,
    channel: ChannelId,
    phone: &str,
    text: &str,
    by: Option<UserId>,
    at: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(sandbox_messages::table)
        .values((
            sandbox_messages::channel_id.eq(channel),
            sandbox_messages::phone.eq(phone),
            sandbox_messages::written_by.eq(by),
            sandbox_messages::body.eq(text),
            sandbox_messages::at.eq(at),
            sandbox_messages::untold.eq(reports(phone)),
        ))
        .execute(conn)
        .map(drop)
}

/// Lets up to `n` phones write what they were going to by now. Returns how many did.
pub fn write_replies(conn: &mut PgConnection, n: i64, now: DateTime<Utc>) -> QueryResult<usize> {
    locks::skip(Lock::SandboxPhone);
    type Row = (i64, i64, String, String, DateTime<Utc>);
    conn.transaction(|conn| {
        let due: Vec<Row> = sandbox_replies::table
            .filter(sandbox_replies::due_at.le(now))
            .order((sandbox_replies::due_at, sandbox_replies::id))
            .limit(n)
            .for_update()
            .skip_locked()
            .load(conn)?;
        for (_, channel, phone, body, at) in &due {
            write(conn, ChannelId(*channel), phone, body, None, *at)?;
        }
        let ids = due.iter().map(|(id, ..)| *id);
        diesel::delete(sandbox_replies::table.filter(sandbox_replies::id.eq_any(ids))).execute(conn)?;
        Ok(due.len())
    })
}

/// Up to `n` messages of phones that have to be reported, oldest first, with their numbers in the books.
pub fn untold(conn: &mut PgConnection, n: i64) -> QueryResult<Vec<(i64, ChannelId, Inbound)>> {
    type Row = (i64, i64, String, String, DateTime<Utc>, Option<i64>);
    let rows: Vec<Row> = sandbox_messages::table
        .filter(sandbox_messages::untold.gt(0))
        .order(sandbox_messages::id)
        .limit(n)
        .select((
            sandbox_messages::id,
            sandbox_messages::channel_id,
            sandbox_messages::phone,
            sandbox_messages::body,
            sandbox_messages::at,
            sandbox_messages::written_by,
        ))
        .load(conn)?;
    let inbound = |(id, channel, from, text, at, by): (_, _, _, _, _, Option<i64>)| {
        let said =
            Inbound { id: format!("in-{id}"), from, text, at: Some(at), by: by.map(UserId), ..Inbound::default() };
        (id, ChannelId(channel), said)
    };
    Ok(rows.into_iter().map(inbound).collect())
}

/// Notes that these were reported once more.
pub fn told(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<()> {
    diesel::sql_query("UPDATE sandbox_messages SET untold = untold - 1 WHERE id = ANY ($1) AND untold > 0")
        .bind::<Array<Int8>, _>(ids)
        .execute(conn)
        .map(drop)
}

/// The channel through which a phone got or wrote its last message.
pub fn last_channel(conn: &mut PgConnection, number: &str) -> QueryResult<Option<ChannelId>> {
    sandbox_messages::table
        .filter(sandbox_messages::phone.eq(number))
        .order(sandbox_messages::id.desc())
        .select(sandbox_messages::channel_id)
        .first(conn)
        .optional()
        .map(|found| found.map(ChannelId))
}

// ---- the phones --------------------------------------------------------------------

/// A phone that got something.
#[derive(Clone, Debug, PartialEq, QueryableByName)]
pub struct Phone {
    /// Of its newest message.
    #[diesel(sql_type = Int8)]
    pub last: i64,
    #[diesel(sql_type = Text)]
    pub number: String,
    #[diesel(sql_type = Text)]
    pub text: String,
    /// The phone itself wrote it.
    #[diesel(sql_type = Bool)]
    pub own: bool,
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = Int8)]
    pub n: i64,
}

/// Up to `n` phones with `digits` in their number, the one that got something last
/// first; only those whose newest message is older than `before`.
fn phones(conn: &mut PgConnection, digits: &str, before: Option<i64>, n: i64) -> QueryResult<Vec<Phone>> {
    diesel::sql_query(include_str!("phones.sql"))
        .bind::<Text, _>(digits)
        .bind::<Nullable<Int8>, _>(before)
        .bind::<Int8, _>(n)
        .load(conn)
}

/// The wall of phones, with the newest message there is; `None` when nothing came after message `since`.
pub fn wall(
    conn: &mut PgConnection,
    digits: &str,
    before: Option<i64>,
    since: Option<i64>,
    n: i64,
) -> QueryResult<Option<(i64, Vec<Phone>)>> {
    // Asked first: what arrives in between is news again, and never missed.
    let newest = newest(conn)?;
    if since.is_some_and(|since| newest <= since) {
        return Ok(None);
    }
    Ok(Some((newest, phones(conn, digits, before, n)?)))
}

/// The newest message on any phone, or 0.
fn newest(conn: &mut PgConnection) -> QueryResult<i64> {
    sandbox_messages::table
        .select(diesel::dsl::max(sandbox_messages::id))
        .first::<Option<i64>>(conn)
        .map(Option::unwrap_or_default)
}

/// A message that reached a phone, or that it wrote.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = sandbox_messages, check_for_backend(diesel::pg::Pg))]
pub struct PhoneMessage {
    pub id: i64,
    pub channel_id: ChannelId,
    /// Our id of the send; `None`: the phone wrote it.
    pub part: Option<String>,
    pub body: String,
    pub at: DateTime<Utc>,
    choices: Option<serde_json::Value>,
}

impl PhoneMessage {
    pub fn is_own(&self) -> bool {
        self.part.is_none()
    }

    /// Answers that it offers.
    pub fn choices(&self) -> Vec<&str> {
        let all = self.choices.as_ref().and_then(serde_json::Value::as_array);
        all.into_iter().flatten().filter_map(serde_json::Value::as_str).collect()
    }
}

/// The newest `n` messages of a phone after message `since` and before message `before`, oldest first.
pub fn messages(
    conn: &mut PgConnection,
    number: &str,
    since: i64,
    before: Option<i64>,
    n: i64,
) -> QueryResult<Vec<PhoneMessage>> {
    let mut messages: Vec<PhoneMessage> = sandbox_messages::table
        .filter(sandbox_messages::phone.eq(number))
        .filter(sandbox_messages::id.gt(since))
        .filter(sandbox_messages::id.lt(before.unwrap_or(i64::MAX)))
        .order(sandbox_messages::id.desc())
        .limit(n)
        .select(PhoneMessage::as_select())
        .load(conn)?;
    messages.reverse();
    Ok(messages)
}

// ---- how phones answer by themselves -------------------------------------------------

/// All rules, in their order.
pub fn rules(conn: &mut PgConnection) -> QueryResult<Vec<PhoneRule>> {
    let rows: Vec<RuleRow> = sandbox_rules::table
        .order((sandbox_rules::place, sandbox_rules::id))
        .select(RuleRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(PhoneRule::from).collect())
}

/// Like [`rules`], but makes everyone else who changes them wait until this transaction ends.
pub fn lock_rules(conn: &mut PgConnection) -> QueryResult<Vec<PhoneRule>> {
    locks::take(Lock::SandboxRules);
    conn.batch_execute("LOCK TABLE sandbox_rules IN SHARE ROW EXCLUSIVE MODE")?;
    rules(conn)
}

/// Adds a rule below the others.
pub fn add_rule(conn: &mut PgConnection, habit: &Habit) -> QueryResult<i64> {
    let last: Option<i32> = sandbox_rules::table.select(diesel::dsl::max(sandbox_rules::place)).first(conn)?;
    diesel::insert_into(sandbox_rules::table)
        .values((
            sandbox_rules::place.eq(last.unwrap_or(0) + 1),
            sandbox_rules::enabled.eq(true),
            HabitRow::from(habit),
        ))
        .returning(sandbox_rules::id)
        .get_result(conn)
}

pub fn save_rule(conn: &mut PgConnection, id: i64, habit: &Habit) -> QueryResult<()> {
    diesel::update(sandbox_rules::table.find(id)).set(HabitRow::from(habit)).execute(conn).map(drop)
}

pub fn switch_rule(conn: &mut PgConnection, id: i64, on: bool) -> QueryResult<()> {
    diesel::update(sandbox_rules::table.find(id)).set(sandbox_rules::enabled.eq(on)).execute(conn).map(drop)
}

pub fn remove_rule(conn: &mut PgConnection, id: i64) -> QueryResult<()> {
    diesel::delete(sandbox_rules::table.find(id)).execute(conn).map(drop)
}

/// Puts the rules into this order.
pub fn place_rules(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE sandbox_rules r SET place = o.place FROM unnest($1) WITH ORDINALITY o (id, place) WHERE r.id = o.id",
    )
    .bind::<Array<Int8>, _>(ids)
    .execute(conn)
    .map(drop)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sandbox_rules, check_for_backend(diesel::pg::Pg))]
struct RuleRow {
    id: i64,
    enabled: bool,
    #[diesel(embed)]
    habit: HabitRow,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = sandbox_rules, check_for_backend(diesel::pg::Pg))]
struct HabitRow {
    pattern: String,
    replies: String,
    chance: f64,
    after_s: i32,
    to_s: i32,
}

impl From<&Habit> for HabitRow {
    fn from(it: &Habit) -> Self {
        let (pattern, replies) = (it.pattern.clone(), it.replies.clone());
        HabitRow { pattern, replies, chance: it.chance, after_s: it.after_s, to_s: it.to_s }
    }
}

impl From<RuleRow> for PhoneRule {
    fn from(row: RuleRow) -> Self {
        let HabitRow { pattern, replies, chance, after_s, to_s } = row.habit;
        PhoneRule { id: row.id, enabled: row.enabled, habit: Habit { pattern, replies, chance, after_s, to_s } }
    }
}
