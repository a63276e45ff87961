//! Conversations and their messages in Postgres.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, SubsecRound, Utc};
use diesel::dsl::exists;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};
use diesel::sql_types::{Array, Bool, Int4, Int8, Jsonb, Nullable, Text, Timestamptz};

use super::rounds::Rounds;
use super::{Began, Conversation, Handler};
use crate::bots::domain::Pinned;
use crate::campaigns::store::Row as CampaignRow;
use crate::campaigns::{Campaign, CampaignState};
use crate::db::locks::{self, Lock};
use crate::db::schema::{bot_rounds, campaigns, contacts, conversations, messages, openings, schedules};
use crate::db::{Fixed, Prepared, fixed};
use crate::deliveries::Outcome;
use crate::ids::{BotId, CampaignId, ChannelId, ContactId, ConversationId, MessageId, RunId, ScheduleId, UserId};
use crate::providers::Kind;
use crate::schedules::store::Row as ScheduleRow;
use crate::schedules::{Schedule, ScheduleState};
use crate::wording::FilledTemplate;
use crate::words::words;

// ---- conversations -----------------------------------------------------------

pub fn find(conn: &mut PgConnection, id: ConversationId) -> QueryResult<Conversation> {
    conversations::table.find(id).select(Row::as_select()).first(conn)?.try_into()
}

/// The conversations that these messages stand in.
pub fn of_messages(conn: &mut PgConnection, ids: &[MessageId]) -> QueryResult<BTreeMap<MessageId, ConversationId>> {
    let rows: Vec<(i64, i64)> = messages::table
        .filter(messages::id.eq_any(ids.iter().map(|id| id.0)))
        .select((messages::id, messages::conversation_id))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, conversation)| (MessageId(id), ConversationId(conversation))).collect())
}

/// Whom a message is with, and through which channel.
pub fn other_side(conn: &mut PgConnection, id: MessageId) -> QueryResult<(ContactId, ChannelId)> {
    let (contact, channel) = messages::table
        .inner_join(conversations::table.on(conversations::id.eq(messages::conversation_id)))
        .filter(messages::id.eq(id))
        .select((conversations::contact_id, messages::channel_id))
        .first(conn)?;
    Ok((ContactId(contact), ChannelId(channel)))
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: ConversationId) -> QueryResult<Conversation> {
    locks::take(Lock::Conversation);
    conversations::table.find(id).select(Row::as_select()).for_no_key_update().first(conn)?.try_into()
}

/// The newest conversation with a contact on a channel, locked.
pub fn lock_newest(
    conn: &mut PgConnection,
    contact: ContactId,
    channel: ChannelId,
) -> QueryResult<Option<Conversation>> {
    locks::take(Lock::Conversation);
    conversations::table
        .filter(conversations::contact_id.eq(contact))
        .filter(conversations::channel_id.eq(channel))
        .order(conversations::id.desc())
        .select(Row::as_select())
        .for_no_key_update()
        .first(conn)
        .optional()?
        .map(Conversation::try_from)
        .transpose()
}

/// Conversations of these contacts on a channel that bots have and nobody closed, locked in one order.
pub fn lock_open_of_bots(
    conn: &mut PgConnection,
    contacts: &[ContactId],
    channel: ChannelId,
) -> QueryResult<Vec<Conversation>> {
    locks::take(Lock::Conversation);
    conversations::table
        .filter(conversations::contact_id.eq_any(contacts))
        .filter(conversations::channel_id.eq(channel))
        .filter(conversations::handler.eq("bot"))
        .filter(conversations::closed_at.is_null())
        .order(conversations::id)
        .select(Row::as_select())
        .for_no_key_update()
        .load(conn)?
        .into_iter()
        .map(Conversation::try_from)
        .collect()
}

/// A conversation that does not exist yet.
#[derive(Clone, Debug)]
pub struct NewConversation {
    pub channel: ChannelId,
    pub contact: ContactId,
    pub home: Option<(CampaignId, ScheduleId)>,
    pub began: Began,
    /// The delivery it begins with.
    pub delivery: Option<(RunId, i32)>,
    pub bot: Option<Pinned>,
    pub at: DateTime<Utc>,
}

impl NewConversation {
    /// As it is before anybody has said anything: with humans until a bot has taken its
    /// turn, and without a number until it is written.
    pub fn empty(&self) -> Conversation {
        Conversation {
            id: ConversationId(0),
            channel: self.channel,
            contact: self.contact,
            home: self.home,
            began: self.began,
            bot: self.bot,
            handler: Handler::Human,
            memory: None,
            wake_at: None,
            last_at: self.at,
            unanswered_since: None,
            closed: None,
            fault: None,
            doubted: false,
            assigned_to: None,
            labels: Vec::new(),
        }
    }
}

/// Writes conversations as they are, and gives them their numbers.
pub fn insert(conn: &mut PgConnection, new: &mut [(NewConversation, Conversation)]) -> QueryResult<()> {
    let rows: Vec<_> = new
        .iter()
        .map(|(new, it)| {
            Ok((
                conversations::channel_id.eq(new.channel),
                conversations::contact_id.eq(new.contact),
                conversations::campaign_id.eq(new.home.map(|(campaign, _)| campaign.0)),
                conversations::schedule_id.eq(new.home.map(|(_, schedule)| schedule.0)),
                conversations::began.eq(new.began),
                conversations::run_id.eq(new.delivery.map(|(run, _)| run.0)),
                conversations::seq.eq(new.delivery.map(|(_, seq)| seq)),
                conversations::bot_id.eq(new.bot.map(|bot| bot.bot.0)),
                conversations::bot_version.eq(new.bot.map(|bot| bot.version)),
                conversations::opened_at.eq(new.at),
                Changing::of(it)?,
            ))
        })
        .collect::<QueryResult<_>>()?;
    // A statement returns its rows in the order in which they were given.
    let ids: Vec<i64> =
        diesel::insert_into(conversations::table).values(rows).returning(conversations::id).load(conn)?;
    for ((_, it), id) in new.iter_mut().zip(ids) {
        it.id = ConversationId(id);
    }
    Ok(())
}

fn news() -> Fixed<Int8> {
    fixed("nextval('conversation_news')")
}

/// Writes what has changed, and that it has.
pub fn save(conn: &mut PgConnection, it: &Conversation) -> QueryResult<()> {
    diesel::update(conversations::table.find(it.id))
        .set((Changing::of(it)?, conversations::changed.eq(news())))
        .execute(conn)
        .map(drop)
}

/// What changes in a conversation.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = conversations, treat_none_as_null = true)]
struct Changing<'a> {
    handler: &'static str,
    memory: Option<serde_json::Value>,
    wake_at: Option<DateTime<Utc>>,
    last_at: DateTime<Utc>,
    unanswered_since: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    closed_because: Option<&'a str>,
    fault: Option<&'a str>,
    doubted: bool,
    assigned_to: Option<UserId>,
    labels: &'a [String],
}

impl<'a> Changing<'a> {
    fn of(it: &'a Conversation) -> QueryResult<Self> {
        let memory = it.memory.as_ref().map(serde_json::to_value).transpose();
        Ok(Changing {
            handler: it.handler.word(),
            memory: memory.map_err(|error| SerializationError(error.into()))?,
            wake_at: it.wake_at,
            last_at: it.last_at,
            unanswered_since: it.unanswered_since,
            closed_at: it.closed.as_ref().map(|(at, _)| *at),
            closed_because: it.closed.as_ref().map(|(_, why)| why.as_str()),
            fault: it.fault.as_deref(),
            doubted: it.doubted,
            assigned_to: it.assigned_to,
            labels: &it.labels,
        })
    }
}

/// Says of conversations that something in them is new, and makes everyone else who
/// changes them wait. In one order, and before their messages are locked.
pub fn touch(conn: &mut PgConnection, ids: &[ConversationId]) -> QueryResult<()> {
    locks::take(Lock::Conversation);
    let touch = diesel::sql_query(
        "UPDATE conversations v SET changed = nextval('conversation_news')
         FROM (SELECT id FROM conversations WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE) l WHERE v.id = l.id",
    );
    Prepared(touch.bind::<Array<Int8>, _>(ids)).execute(conn).map(drop)
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = conversations, check_for_backend(Pg))]
struct Row {
    id: ConversationId,
    channel_id: ChannelId,
    contact_id: ContactId,
    campaign_id: Option<CampaignId>,
    schedule_id: Option<ScheduleId>,
    began: Began,
    bot_id: Option<BotId>,
    bot_version: Option<i32>,
    handler: Handler,
    memory: Option<serde_json::Value>,
    wake_at: Option<DateTime<Utc>>,
    last_at: DateTime<Utc>,
    unanswered_since: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    closed_because: Option<String>,
    fault: Option<String>,
    doubted: bool,
    assigned_to: Option<UserId>,
    labels: Vec<String>,
}

impl TryFrom<Row> for Conversation {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let memory = row.memory.map(serde_json::from_value).transpose();
        Ok(Conversation {
            id: row.id,
            channel: row.channel_id,
            contact: row.contact_id,
            home: row.campaign_id.zip(row.schedule_id),
            began: row.began,
            bot: Pinned::of(row.bot_id, row.bot_version),
            handler: row.handler,
            memory: memory.map_err(|error| DeserializationError(error.into()))?,
            wake_at: row.wake_at,
            last_at: row.last_at,
            unanswered_since: row.unanswered_since,
            closed: row.closed_at.map(|at| (at, row.closed_because.unwrap_or_default())),
            fault: row.fault,
            doubted: row.doubted,
            assigned_to: row.assigned_to,
            labels: row.labels,
        })
    }
}

// ---- contacts ----------------------------------------------------------------

/// A contact as taking in needs it, locked.
#[derive(Debug, QueryableByName)]
pub struct KnownContact {
    #[diesel(sql_type = Int8)]
    pub id: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub opted_out_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub doubted_at: Option<DateTime<Utc>>,
    /// Object of field name to text.
    #[diesel(sql_type = Jsonb)]
    pub values: serde_json::Value,
    #[diesel(sql_type = Bool)]
    pub blocked: bool,
}

/// The contact with this address, made if there is none. Two messages of one contact
/// are taken in one after the other.
pub fn lock_contact(
    conn: &mut PgConnection,
    kind: Kind,
    address: &str,
    now: DateTime<Utc>,
) -> QueryResult<KnownContact> {
    locks::take(Lock::Contact);
    if let Some(known) = lock_known_contact(conn, kind, address, now)? {
        return Ok(known);
    }
    let add = diesel::sql_query(
        "INSERT INTO contacts (kind, address) VALUES ($1, $2) ON CONFLICT (kind, address) DO NOTHING",
    )
    .bind::<Text, _>(kind)
    .bind::<Text, _>(address);
    Prepared(add).execute(conn)?;
    lock_known_contact(conn, kind, address, now)?.ok_or(diesel::result::Error::NotFound)
}

fn lock_known_contact(
    conn: &mut PgConnection,
    kind: Kind,
    address: &str,
    now: DateTime<Utc>,
) -> QueryResult<Option<KnownContact>> {
    let lock = diesel::sql_query(
        "SELECT c.id, c.opted_out_at, c.doubted_at, c.\"values\",
                (SELECT r.blocked_at IS NOT NULL FROM reach($3) r WHERE r.contact_id = c.id) AS blocked
         FROM contacts c WHERE c.kind = $1 AND c.address = $2 FOR NO KEY UPDATE OF c",
    )
    .bind::<Text, _>(kind)
    .bind::<Text, _>(address)
    .bind::<Timestamptz, _>(now);
    Prepared(lock).get_result(conn).optional()
}

/// Locks contacts in one order: whoever takes in a message of one of them waits. Before their conversations.
pub fn lock_contacts(conn: &mut PgConnection, ids: &[ContactId]) -> QueryResult<()> {
    locks::take(Lock::Contact);
    if ids.is_empty() {
        return Ok(());
    }
    let lock = diesel::sql_query("SELECT id FROM contacts WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE");
    Prepared(lock.bind::<Array<Int8>, _>(ids)).execute(conn).map(drop)
}

/// Keeps values that a contact gave; of each field the newest.
pub fn keep_values(conn: &mut PgConnection, contact: ContactId, values: &serde_json::Value) -> QueryResult<()> {
    let keep = diesel::sql_query(
        "WITH new AS (
             INSERT INTO contact_fields (identity, name) SELECT field_identity(k), k FROM jsonb_object_keys($2) k ON CONFLICT DO NOTHING
         )
         UPDATE contacts SET \"values\" = \"values\" || spelled($2) WHERE id = $1",
    )
        .bind::<Int8, _>(contact)
        .bind::<Jsonb, _>(values);
    Prepared(keep).execute(conn).map(drop)
}

/// Kind and address of a contact.
pub fn address(conn: &mut PgConnection, contact: ContactId) -> QueryResult<(Kind, String)> {
    contacts::table.find(contact).select((contacts::kind, contacts::address)).first(conn)
}

/// How bots and a contact have been answering one another. Read under the lock of the contact.
pub fn rounds(conn: &mut PgConnection, contact: ContactId) -> QueryResult<Option<Rounds>> {
    bot_rounds::table
        .find(contact)
        .select(RoundsRow::as_select())
        .first(conn)
        .optional()
        .map(|row| row.map(Rounds::from))
}

/// Writes that down, under the lock of the contact.
pub fn save_rounds(conn: &mut PgConnection, contact: ContactId, rounds: &Rounds) -> QueryResult<()> {
    let row = RoundsRow::from(*rounds);
    diesel::insert_into(bot_rounds::table)
        .values((bot_rounds::contact_id.eq(contact), &row))
        .on_conflict(bot_rounds::contact_id)
        .do_update()
        .set(&row)
        .execute(conn)
        .map(drop)
}

/// Forgets them: bots answer again as if they never had. Returns whether they were silent at `now`.
pub fn forget_rounds(conn: &mut PgConnection, contact: ContactId, now: DateTime<Utc>) -> QueryResult<bool> {
    let silent = rounds(conn, contact)?.is_some_and(|rounds| rounds.is_silent(now));
    diesel::delete(bot_rounds::table.find(contact)).execute(conn)?;
    Ok(silent)
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = bot_rounds, treat_none_as_null = true, check_for_backend(Pg))]
struct RoundsRow {
    began_at: DateTime<Utc>,
    answers: i32,
    fast: i32,
    last_at: DateTime<Utc>,
    heard: i64,
    said: i64,
    same: i32,
    silent_since: Option<DateTime<Utc>>,
    silent_in: Option<ConversationId>,
}

impl From<RoundsRow> for Rounds {
    fn from(row: RoundsRow) -> Rounds {
        let RoundsRow { began_at, answers, fast, last_at, heard, said, same, silent_since, silent_in } = row;
        Rounds { began_at, answers, fast, last_at, heard, said, same, silent_since, silent_in }
    }
}

impl From<Rounds> for RoundsRow {
    fn from(it: Rounds) -> RoundsRow {
        let Rounds { began_at, answers, fast, last_at, heard, said, same, silent_since, silent_in } = it;
        RoundsRow { began_at, answers, fast, last_at, heard, said, same, silent_since, silent_in }
    }
}

// ---- what governs a conversation -----------------------------------------------

/// The campaign and schedule of a conversation, locked against change: until this
/// transaction ends nobody pauses or stops them.
#[derive(Clone, Debug)]
pub struct Governor {
    pub campaign: Campaign,
    pub schedule: Schedule,
}

impl Governor {
    pub fn is_stopped(&self) -> bool {
        self.campaign.state == CampaignState::Stopped || self.schedule.state == ScheduleState::Stopped
    }

    pub fn is_paused(&self) -> bool {
        self.campaign.state == CampaignState::Paused || matches!(self.schedule.state, ScheduleState::Paused { .. })
    }
}

/// Reads and share-locks what governs. Rows are locked in the order in which the tables
/// stand, and so as everyone locks them.
pub fn governor(conn: &mut PgConnection, schedule: ScheduleId) -> QueryResult<Governor> {
    locks::take(Lock::Campaign);
    locks::take(Lock::Schedule);
    let (campaign, schedule): (CampaignRow, ScheduleRow) = campaigns::table
        .inner_join(schedules::table)
        .filter(schedules::id.eq(schedule))
        .select((CampaignRow::as_select(), ScheduleRow::as_select()))
        .for_share()
        .first(conn)?;
    Ok(Governor { campaign: campaign.try_into()?, schedule: schedule.try_into()? })
}

// ---- openings ------------------------------------------------------------------

/// Whether there is any conversation that could go on by itself, now or later.
pub fn may_go_on(conn: &mut PgConnection) -> QueryResult<bool> {
    let waiting = messages::table.filter(messages::state.eq_any(["queued", "claimed"]));
    let to_wake = conversations::table.filter(conversations::wake_at.is_not_null());
    let begun = openings::table.select(openings::run_id);
    diesel::select(exists(begun).or(exists(to_wake)).or(exists(waiting))).get_result(conn)
}

/// A delivery that began a conversation nobody has written down.
#[derive(Clone, Debug, QueryableByName)]
pub struct Opening {
    #[diesel(sql_type = Int8)]
    pub run_id: RunId,
    #[diesel(sql_type = Int4)]
    pub seq: i32,
    /// When the bot took its first turn.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = Int8)]
    pub contact_id: ContactId,
    #[diesel(sql_type = Jsonb)]
    pub values: serde_json::Value,
    #[diesel(sql_type = Int8)]
    pub channel_id: ChannelId,
    #[diesel(sql_type = Int8)]
    pub campaign_id: CampaignId,
    #[diesel(sql_type = Int8)]
    pub schedule_id: ScheduleId,
    #[diesel(sql_type = Int8)]
    pub bot_id: BotId,
    #[diesel(sql_type = Int4)]
    pub bot_version: i32,
    /// The words that left instead of the bot's first ones were approved beforehand.
    #[diesel(sql_type = Bool)]
    pub approved: bool,
}

const OPENING: &str = "d.run_id, d.seq, d.contact_id, d.\"values\", r.channel_id, r.campaign_id, r.schedule_id,
    r.bot_id, r.bot_version, r.template IS NOT NULL AS approved";

/// Up to `n` openings. Not locked: whoever strikes one out has it.
pub fn openings(conn: &mut PgConnection, n: i64) -> QueryResult<Vec<Opening>> {
    let ask = diesel::sql_query(format!(
        "SELECT o.at, {OPENING} FROM openings o JOIN deliveries d ON d.run_id = o.run_id AND d.seq = o.seq
         JOIN schedule_runs r ON r.id = o.run_id AND r.bot_id IS NOT NULL
         ORDER BY o.run_id, o.seq LIMIT $1"
    ));
    Prepared(ask.bind::<Int8, _>(n)).load(conn)
}

/// Deliveries of bots to a contact through a channel that have begun no conversation
/// yet, though the contact may have them: taken, on the wire, or unconfirmed. Oldest first.
pub fn unopened(
    conn: &mut PgConnection,
    contact: ContactId,
    channel: ChannelId,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Opening>> {
    let ask = diesel::sql_query(format!(
        "SELECT coalesce(o.at, d.settled_at, $3) AS at, {OPENING}
         FROM deliveries d JOIN real_runs r ON r.id = d.run_id JOIN campaigns c ON c.id = r.campaign_id
         LEFT JOIN openings o ON o.run_id = d.run_id AND o.seq = d.seq
         WHERE d.contact_id = $1 AND r.channel_id = $2 AND r.bot_id IS NOT NULL
           AND d.seq < r.next_seq AND (d.outcome IS NULL OR d.outcome IN (0, 14))
           AND coalesce(d.settled_at, $3) > $3 - make_interval(mins => c.validity_minutes)
           AND NOT EXISTS (SELECT FROM retries t WHERE t.run_id = d.run_id AND t.seq = d.seq)
           AND NOT EXISTS (SELECT FROM conversations v WHERE v.run_id = d.run_id AND v.seq = d.seq)
         ORDER BY d.run_id"
    ))
    .bind::<Int8, _>(contact)
    .bind::<Int8, _>(channel)
    .bind::<Timestamptz, _>(now);
    Prepared(ask).load(conn)
}

/// Strikes openings out.
pub fn strike_openings(conn: &mut PgConnection, of: &[Opening]) -> QueryResult<()> {
    let (runs, seqs): (Vec<RunId>, Vec<i32>) = of.iter().map(|it| (it.run_id, it.seq)).unzip();
    let strike = diesel::sql_query(
        "DELETE FROM openings o USING unnest($1::bigint[], $2::integer[]) AS u (run_id, seq)
         WHERE o.run_id = u.run_id AND o.seq = u.seq",
    )
    .bind::<Array<Int8>, _>(runs)
    .bind::<Array<Int4>, _>(seqs);
    Prepared(strike).execute(conn).map(drop)
}

/// Which of these deliveries have their conversation.
pub fn opened(conn: &mut PgConnection, of: &[Opening]) -> QueryResult<HashSet<(RunId, i32)>> {
    #[derive(QueryableByName)]
    struct Delivery {
        #[diesel(sql_type = Int8)]
        run_id: RunId,
        #[diesel(sql_type = Int4)]
        seq: i32,
    }
    let (runs, seqs): (Vec<RunId>, Vec<i32>) = of.iter().map(|it| (it.run_id, it.seq)).unzip();
    let query = diesel::sql_query(
        "SELECT v.run_id, v.seq FROM unnest($1::bigint[], $2::integer[]) AS u (run_id, seq)
         JOIN conversations v ON v.run_id = u.run_id AND v.seq = u.seq",
    )
    .bind::<Array<Int8>, _>(runs)
    .bind::<Array<Int4>, _>(seqs);
    let rows: Vec<Delivery> = Prepared(query).load(conn)?;
    Ok(rows.into_iter().map(|it| (it.run_id, it.seq)).collect())
}

// ---- messages ------------------------------------------------------------------

/// What a contact wrote.
#[derive(Clone, Copy)]
pub struct HeardMessage<'a> {
    pub text: &'a str,
    pub at: DateTime<Utc>,
    /// The provider's name for it.
    pub provider_id: &'a str,
}

fn offered(choices: &[String]) -> Option<serde_json::Value> {
    (!choices.is_empty()).then(|| serde_json::json!(choices))
}

words! {
    /// Why a message of ours is sent, and so what holds it back.
    pub enum MessagePurpose {
        /// A bot answers what a contact wrote.
        Answer = "answer",
        /// A bot speaks up by itself.
        Reengager = "reengager",
        Agent = "agent",
        /// Leaves even to those who have opted out, or are blocked after it was written.
        Notice = "notice",
    }
}

/// A message of ours.
#[derive(Clone, Copy)]
pub struct Saying<'a> {
    pub purpose: MessagePurpose,
    /// Who wrote it, if a human did.
    pub agent: Option<UserId>,
    /// What governs it.
    pub schedule: Option<ScheduleId>,
    pub text: &'a str,
    pub choices: &'a [String],
    /// The step of the bot that says it.
    pub step: Option<&'a str>,
    /// Why it cannot leave: a value is missing.
    pub unsaid: Option<&'a str>,
    /// The approved text as which it leaves.
    pub template: Option<&'a FilledTemplate>,
}

/// Writes a message of ours into the outbox, or beside it when it cannot leave.
pub fn insert_saying(
    conn: &mut PgConnection,
    it: &Conversation,
    saying: &Saying<'_>,
    now: DateTime<Utc>,
) -> QueryResult<MessageId> {
    diesel::insert_into(messages::table)
        .values(NewMessage::saying(it, saying, now))
        .returning(messages::id)
        .get_result(conn)
        .map(MessageId)
}

/// A message about to be written: a contact's, one of ours, or the first of a campaign.
#[derive(Insertable, serde::Serialize)]
#[diesel(table_name = messages)]
pub struct NewMessage<'a> {
    conversation_id: ConversationId,
    channel_id: ChannelId,
    author: &'static str,
    user_id: Option<UserId>,
    body: &'a str,
    choices: Option<serde_json::Value>,
    step: Option<&'a str>,
    at: DateTime<Utc>,
    run_id: Option<RunId>,
    seq: Option<i32>,
    purpose: Option<&'static str>,
    schedule_id: Option<ScheduleId>,
    state: Option<&'static str>,
    due_at: Option<DateTime<Utc>>,
    outcome: Option<i16>,
    detail: Option<&'a str>,
    settled_at: Option<DateTime<Utc>>,
    provider_id: Option<&'a str>,
    template: Option<serde_json::Value>,
}

impl<'a> NewMessage<'a> {
    /// What a contact wrote.
    pub fn heard(it: &Conversation, heard: HeardMessage<'a>) -> Self {
        NewMessage {
            conversation_id: it.id,
            channel_id: it.channel,
            author: "contact",
            user_id: None,
            body: heard.text,
            choices: None,
            step: None,
            at: as_kept(heard.at),
            run_id: None,
            seq: None,
            purpose: None,
            schedule_id: None,
            state: None,
            due_at: None,
            outcome: None,
            detail: None,
            settled_at: None,
            provider_id: Some(heard.provider_id),
            template: None,
        }
    }

    /// The message of a campaign that began a conversation. Its fate stands in the ledger.
    pub fn first(
        it: &Conversation,
        (run, seq): (RunId, i32),
        text: &'a str,
        step: &'a str,
        choices: &[String],
        at: DateTime<Utc>,
    ) -> Self {
        NewMessage {
            conversation_id: it.id,
            channel_id: it.channel,
            author: "campaign",
            user_id: None,
            body: text,
            choices: offered(choices),
            step: Some(step),
            at: as_kept(at),
            run_id: Some(run),
            seq: Some(seq),
            purpose: None,
            schedule_id: None,
            state: None,
            due_at: None,
            outcome: None,
            detail: None,
            settled_at: None,
            provider_id: None,
            template: None,
        }
    }

    /// A message of ours.
    pub fn saying(it: &Conversation, saying: &Saying<'a>, now: DateTime<Utc>) -> Self {
        let (leaves, now) = (saying.unsaid.is_none(), as_kept(now));
        NewMessage {
            conversation_id: it.id,
            channel_id: it.channel,
            author: match (saying.agent, saying.step) {
                (Some(_), _) => "agent",
                (None, Some(_)) => "bot",
                (None, None) => "house",
            },
            user_id: saying.agent,
            body: saying.text,
            choices: offered(saying.choices),
            step: saying.step,
            at: now,
            run_id: None,
            seq: None,
            purpose: Some(saying.purpose.word()),
            schedule_id: saying.schedule,
            state: Some(if leaves { "queued" } else { "settled" }),
            due_at: leaves.then_some(now),
            outcome: (!leaves).then_some(Outcome::InvalidMessage.code()),
            detail: saying.unsaid,
            settled_at: (!leaves).then_some(now),
            provider_id: None,
            template: saying.template.and_then(|it| serde_json::to_value(it).ok()),
        }
    }
}

/// An instant as a column holds it. Written as text it would be rounded, and equal no other column of its transaction.
fn as_kept(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(6)
}

/// Writes messages in this order. Returns how many: one of a contact that was taken in before is not written.
pub fn insert_messages(conn: &mut PgConnection, new: &[NewMessage<'_>]) -> QueryResult<usize> {
    if new.is_empty() {
        return Ok(0);
    }
    let rows = serde_json::to_value(new).map_err(|error| SerializationError(error.into()))?;
    Prepared(diesel::sql_query(include_str!("insert_messages.sql")).bind::<Jsonb, _>(rows)).execute(conn)
}

/// When a contact wrote last on a channel, in whichever conversation.
pub fn last_heard(
    conn: &mut PgConnection,
    contact: ContactId,
    channel: ChannelId,
) -> QueryResult<Option<DateTime<Utc>>> {
    messages::table
        .inner_join(conversations::table.on(conversations::id.eq(messages::conversation_id)))
        .filter(conversations::contact_id.eq(contact))
        .filter(conversations::channel_id.eq(channel))
        .filter(messages::author.eq("contact"))
        .select(diesel::dsl::max(messages::at))
        .first(conn)
}

/// The conversation in which a message stands.
pub fn conversation_of(conn: &mut PgConnection, message: MessageId) -> QueryResult<ConversationId> {
    messages::table.find(message).select(messages::conversation_id).first(conn)
}

/// The message that a contact wrote, by the provider's name for it.
pub fn id_of_heard(conn: &mut PgConnection, channel: ChannelId, provider_id: &str) -> QueryResult<Option<MessageId>> {
    messages::table
        .filter(messages::channel_id.eq(channel))
        .filter(messages::provider_id.eq(provider_id))
        .select(messages::id)
        .first(conn)
        .optional()
}

/// Whether a contact wrote this, by the provider's name for it.
pub fn was_written(conn: &mut PgConnection, channel: ChannelId, provider_id: &str) -> QueryResult<bool> {
    Ok(id_of_heard(conn, channel, provider_id)?.is_some())
}

/// Takes back what a bot has said and nobody has begun to send. The conversation is locked.
pub fn take_back(conn: &mut PgConnection, id: ConversationId, why: &str, now: DateTime<Utc>) -> QueryResult<usize> {
    diesel::update(messages::table)
        .filter(messages::conversation_id.eq(id))
        .filter(messages::state.eq("queued"))
        .filter(messages::author.eq("bot"))
        .set((
            messages::state.eq("settled"),
            messages::outcome.eq(Outcome::Stopped.code()),
            messages::detail.eq(why),
            messages::settled_at.eq(now),
        ))
        .execute(conn)
}

// ---- bots that speak up by themselves ---------------------------------------------

/// A schedule some of whose bots are due to speak up, and how many a minute may.
#[derive(Clone, Debug, QueryableByName)]
pub struct DueReply {
    #[diesel(sql_type = Int8)]
    pub schedule_id: ScheduleId,
    #[diesel(sql_type = Int8)]
    pub campaign_id: CampaignId,
    /// Messages a minute, where the schedule or its newest run has a rate.
    #[diesel(sql_type = Nullable<diesel::sql_types::Float8>)]
    pub rate: Option<f64>,
    #[diesel(sql_type = Text)]
    pub zone: String,
}

/// Schedules that may let a bot speak up now. Goes from schedule to schedule through the
/// index: a million conversations that wait, or wait under a pause, cost nothing.
pub fn due_to_wake(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Vec<DueReply>> {
    Prepared(diesel::sql_query(include_str!("due_to_wake.sql")).bind::<Timestamptz, _>(now)).load(conn)
}

/// Whether nothing was heard since a first message that did not arrive.
pub fn first_failed(conn: &mut PgConnection, id: ConversationId) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Failed {
        #[diesel(sql_type = Bool)]
        failed: bool,
    }
    let query = diesel::sql_query(
        "SELECT EXISTS (
             SELECT FROM conversations v JOIN deliveries d ON d.run_id = v.run_id AND d.seq = v.seq
             WHERE v.id = $1 AND d.outcome NOT IN (0, 14)
               AND NOT EXISTS (SELECT FROM messages m WHERE m.conversation_id = v.id AND m.author = 'contact')) AS failed",
    )
    .bind::<Int8, _>(id);
    Prepared(query).get_result::<Failed>(conn).map(|it| it.failed)
}

/// How many bots of a schedule spoke up since then.
pub fn spoke_up_since(conn: &mut PgConnection, schedule: ScheduleId, since: DateTime<Utc>) -> QueryResult<i64> {
    messages::table
        .filter(messages::schedule_id.eq(schedule))
        .filter(messages::purpose.eq("reengager"))
        .filter(messages::at.gt(since))
        .count()
        .get_result(conn)
}

/// Up to `n` conversations of a schedule whose bots are due, the longest due first, locked;
/// none that somebody else is at. Their contacts are locked with them: what a bot keeps is
/// written there, and taking in locks the contact first.
pub fn lock_due(
    conn: &mut PgConnection,
    schedule: ScheduleId,
    n: i64,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Conversation>> {
    locks::skip(Lock::Conversation);
    conversations::table
        .inner_join(contacts::table.on(contacts::id.eq(conversations::contact_id)))
        .filter(conversations::schedule_id.eq(schedule))
        .filter(conversations::wake_at.le(now))
        .order((conversations::wake_at, conversations::id))
        .limit(n)
        .select(Row::as_select())
        .for_no_key_update()
        .skip_locked()
        .load(conn)?
        .into_iter()
        .map(Conversation::try_from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_messages_are_cut_as_columns_cut_them() {
        let at = as_kept("2026-03-02T09:00:00.123456789Z".parse().unwrap());
        assert_eq!(serde_json::to_value(at).unwrap(), "2026-03-02T09:00:00.123456Z");
    }
}
