//! Conversations and their messages in Postgres.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};
use diesel::sql_types::{Array, Bool, Int4, Int8, Jsonb, Nullable, Text, Timestamptz};

use super::{Began, Conversation, Handler};
use crate::bots::domain::Pinned;
use crate::campaigns::inbound::{Plan, Validity};
use crate::channels::Kind;
use crate::db::schema::{campaigns, contacts, conversations, messages, schedules};
use crate::deliveries::Outcome;
use crate::ids::{CampaignId, ChannelId, ContactId, ConversationId, MessageId, RunId, ScheduleId, UserId};

// ---- conversations -----------------------------------------------------------

pub fn find(conn: &mut PgConnection, id: ConversationId) -> QueryResult<Conversation> {
    conversations::table.find(id.0).select(Row::as_select()).first(conn)?.try_into()
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: ConversationId) -> QueryResult<Conversation> {
    conversations::table.find(id.0).select(Row::as_select()).for_no_key_update().first(conn)?.try_into()
}

/// The newest conversation with a contact on a channel, locked.
pub fn lock_newest(
    conn: &mut PgConnection,
    contact: ContactId,
    channel: ChannelId,
) -> QueryResult<Option<Conversation>> {
    conversations::table
        .filter(conversations::contact_id.eq(contact.0))
        .filter(conversations::channel_id.eq(channel.0))
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
    contacts: &[i64],
    channel: ChannelId,
) -> QueryResult<Vec<Conversation>> {
    conversations::table
        .filter(conversations::contact_id.eq_any(contacts))
        .filter(conversations::channel_id.eq(channel.0))
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
pub struct NewConversation {
    pub channel: ChannelId,
    pub contact: ContactId,
    pub home: Option<(CampaignId, ScheduleId)>,
    pub began: Began,
    /// The delivery it begins with.
    pub delivery: Option<(RunId, i32)>,
    pub bot: Option<Pinned>,
}

/// Writes a conversation that humans have until a bot has taken its turn.
pub fn insert(conn: &mut PgConnection, new: &NewConversation, now: DateTime<Utc>) -> QueryResult<Conversation> {
    diesel::insert_into(conversations::table)
        .values((
            conversations::channel_id.eq(new.channel.0),
            conversations::contact_id.eq(new.contact.0),
            conversations::campaign_id.eq(new.home.map(|(campaign, _)| campaign.0)),
            conversations::schedule_id.eq(new.home.map(|(_, schedule)| schedule.0)),
            conversations::began.eq(new.began.word()),
            conversations::run_id.eq(new.delivery.map(|(run, _)| run.0)),
            conversations::seq.eq(new.delivery.map(|(_, seq)| seq)),
            conversations::bot_id.eq(new.bot.map(|bot| bot.bot.0)),
            conversations::bot_version.eq(new.bot.map(|bot| bot.version)),
            conversations::handler.eq("human"),
            conversations::opened_at.eq(now),
            conversations::last_at.eq(now),
            conversations::changed.eq(news()),
        ))
        .returning(Row::as_returning())
        .get_result(conn)?
        .try_into()
}

fn news() -> diesel::expression::SqlLiteral<Int8> {
    diesel::dsl::sql::<Int8>("nextval('conversation_news')")
}

/// Writes what has changed, and that it has.
pub fn save(conn: &mut PgConnection, it: &Conversation) -> QueryResult<()> {
    let memory = it.memory.as_ref().map(serde_json::to_value).transpose();
    let memory = memory.map_err(|error| SerializationError(error.into()))?;
    diesel::update(conversations::table.find(it.id.0))
        .set((
            conversations::handler.eq(it.handler.word()),
            conversations::memory.eq(memory),
            conversations::wake_at.eq(it.wake_at),
            conversations::last_at.eq(it.last_at),
            conversations::unanswered_since.eq(it.unanswered_since),
            conversations::closed_at.eq(it.closed.as_ref().map(|(at, _)| *at)),
            conversations::closed_because.eq(it.closed.as_ref().map(|(_, why)| why)),
            conversations::fault.eq(&it.fault),
            conversations::doubted.eq(it.doubted),
            conversations::assigned_to.eq(it.assigned_to.map(|user| user.0)),
            conversations::labels.eq(&it.labels),
            conversations::changed.eq(news()),
        ))
        .execute(conn)
        .map(drop)
}

/// Says of conversations that something in them is new, and makes everyone else who
/// changes them wait. In one order, and before their messages are locked.
pub fn touch(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE conversations v SET changed = nextval('conversation_news')
         FROM (SELECT id FROM conversations WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE) l WHERE v.id = l.id",
    )
    .bind::<Array<Int8>, _>(ids)
    .execute(conn)
    .map(drop)
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = conversations, check_for_backend(Pg))]
struct Row {
    id: i64,
    channel_id: i64,
    contact_id: i64,
    campaign_id: Option<i64>,
    schedule_id: Option<i64>,
    began: String,
    bot_id: Option<i64>,
    bot_version: Option<i32>,
    handler: String,
    memory: Option<serde_json::Value>,
    wake_at: Option<DateTime<Utc>>,
    last_at: DateTime<Utc>,
    unanswered_since: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    closed_because: Option<String>,
    fault: Option<String>,
    doubted: bool,
    assigned_to: Option<i64>,
    labels: Vec<String>,
}

impl TryFrom<Row> for Conversation {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let (Some(began), Some(handler)) = (Began::of_word(&row.began), Handler::of_word(&row.handler)) else {
            return Err(DeserializationError(format!("conversations: not a conversation: {}", row.id).into()));
        };
        let memory = row.memory.map(serde_json::from_value).transpose();
        Ok(Conversation {
            id: ConversationId(row.id),
            channel: ChannelId(row.channel_id),
            contact: ContactId(row.contact_id),
            home: row.campaign_id.zip(row.schedule_id).map(|(c, s)| (CampaignId(c), ScheduleId(s))),
            began,
            bot: Pinned::of(row.bot_id, row.bot_version),
            handler,
            memory: memory.map_err(|error| DeserializationError(error.into()))?,
            wake_at: row.wake_at,
            last_at: row.last_at,
            unanswered_since: row.unanswered_since,
            closed: row.closed_at.map(|at| (at, row.closed_because.unwrap_or_default())),
            fault: row.fault,
            doubted: row.doubted,
            assigned_to: row.assigned_to.map(UserId),
            labels: row.labels,
        })
    }
}

// ---- contacts ----------------------------------------------------------------

/// A contact as taking in needs it, locked.
#[derive(Debug, QueryableByName)]
pub struct Known {
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
pub fn lock_contact(conn: &mut PgConnection, kind: Kind, address: &str, now: DateTime<Utc>) -> QueryResult<Known> {
    diesel::sql_query("INSERT INTO contacts (kind, address) VALUES ($1, $2) ON CONFLICT (kind, address) DO NOTHING")
        .bind::<Text, _>(kind.word())
        .bind::<Text, _>(address)
        .execute(conn)?;
    diesel::sql_query(
        "SELECT c.id, c.opted_out_at, c.doubted_at, c.\"values\",
                EXISTS (SELECT FROM blocklist b WHERE b.kind = c.kind AND b.address = c.address
                        AND (b.until IS NULL OR b.until > $3)) AS blocked
         FROM contacts c WHERE c.kind = $1 AND c.address = $2 FOR NO KEY UPDATE OF c",
    )
    .bind::<Text, _>(kind.word())
    .bind::<Text, _>(address)
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
}

/// Locks contacts in one order: whoever takes in a message of one of them waits.
pub fn lock_contacts(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<()> {
    diesel::sql_query("SELECT id FROM contacts WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE")
        .bind::<Array<Int8>, _>(ids)
        .execute(conn)
        .map(drop)
}

/// Keeps values that a contact gave; of each field the newest.
pub fn keep_values(conn: &mut PgConnection, contact: ContactId, values: &serde_json::Value) -> QueryResult<()> {
    diesel::sql_query("UPDATE contacts SET \"values\" = \"values\" || $2 WHERE id = $1")
        .bind::<Int8, _>(contact.0)
        .bind::<Jsonb, _>(values)
        .execute(conn)
        .map(drop)
}

/// Kind and address of a contact.
pub fn address(conn: &mut PgConnection, contact: ContactId) -> QueryResult<(Kind, String)> {
    let (kind, address): (String, String) =
        contacts::table.find(contact.0).select((contacts::kind, contacts::address)).first(conn)?;
    match Kind::of_word(&kind) {
        Some(kind) => Ok((kind, address)),
        None => Err(DeserializationError(format!("contacts: not a kind: {kind}").into())),
    }
}

// ---- what governs a conversation -----------------------------------------------

/// The campaign and schedule of a conversation, locked against change: until this
/// transaction ends nobody pauses or stops them.
#[derive(Clone, Debug)]
pub struct Home {
    pub campaign: CampaignId,
    pub schedule: ScheduleId,
    pub stopped: bool,
    pub paused: bool,
    pub zone: Tz,
    pub validity: Validity,
    /// Of an inbound campaign.
    pub inbound: Option<Plan>,
    /// What new conversations of the schedule meet.
    pub bot: Option<Pinned>,
}

type HomeRow = (String, Option<i64>, Option<i32>);

/// Reads and share-locks what governs. In the order in which everyone locks: campaign, then schedule.
pub fn home(conn: &mut PgConnection, campaign: CampaignId, schedule: ScheduleId) -> QueryResult<Home> {
    let (state, zone, minutes, inbound): (String, String, i32, Option<serde_json::Value>) = campaigns::table
        .find(campaign.0)
        .select((campaigns::state, campaigns::time_zone, campaigns::validity_minutes, campaigns::inbound))
        .for_share()
        .first(conn)?;
    let (its, bot, version): HomeRow = schedules::table
        .find(schedule.0)
        .select((schedules::state, schedules::bot_id, schedules::bot_version))
        .for_share()
        .first(conn)?;
    let Ok(zone) = zone.parse() else {
        return Err(DeserializationError(format!("campaigns: not a time zone: {zone}").into()));
    };
    let inbound = inbound.map(serde_json::from_value).transpose();
    Ok(Home {
        campaign,
        schedule,
        stopped: state == "stopped" || its == "stopped",
        paused: state == "paused" || its == "paused",
        zone,
        validity: Validity::of_minutes(minutes).unwrap_or(Validity::DEFAULT),
        inbound: inbound.map_err(|error| DeserializationError(error.into()))?,
        bot: Pinned::of(bot, version),
    })
}

/// The schedule that meets those who write first on a channel: the active one of the
/// newest active inbound campaign.
pub fn current_inbound(conn: &mut PgConnection, channel: ChannelId) -> QueryResult<Option<(CampaignId, ScheduleId)>> {
    schedules::table
        .inner_join(campaigns::table)
        .filter(schedules::channel_id.eq(channel.0))
        // As it stands in the index.
        .filter(diesel::dsl::sql::<Bool>("schedules.inbound AND schedules.state = 'active'"))
        .filter(campaigns::state.eq("active"))
        .order((campaigns::launched_at.desc(), campaigns::id.desc()))
        .select((campaigns::id, schedules::id))
        .first::<(i64, i64)>(conn)
        .optional()
        .map(|found| found.map(|(campaign, schedule)| (CampaignId(campaign), ScheduleId(schedule))))
}

// ---- openings ------------------------------------------------------------------

/// A delivery that began a conversation nobody has written down.
#[derive(Clone, Debug, QueryableByName)]
pub struct Opening {
    #[diesel(sql_type = Int8)]
    pub run_id: i64,
    #[diesel(sql_type = Int4)]
    pub seq: i32,
    /// When the bot took its first turn.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = Int8)]
    pub contact_id: i64,
    #[diesel(sql_type = Jsonb)]
    pub values: serde_json::Value,
    #[diesel(sql_type = Int8)]
    pub channel_id: i64,
    #[diesel(sql_type = Int8)]
    pub campaign_id: i64,
    #[diesel(sql_type = Int8)]
    pub schedule_id: i64,
    #[diesel(sql_type = Int8)]
    pub bot_id: i64,
    #[diesel(sql_type = Int4)]
    pub bot_version: i32,
    #[diesel(sql_type = Text)]
    pub zone: String,
}

const OPENING: &str = "d.run_id, d.seq, d.contact_id, d.\"values\", r.channel_id, r.campaign_id, r.schedule_id,
    r.bot_id, r.bot_version, c.time_zone AS zone";

/// Up to `n` openings. Not locked: whoever strikes one out has it.
pub fn openings(conn: &mut PgConnection, n: i64) -> QueryResult<Vec<Opening>> {
    diesel::sql_query(format!(
        "SELECT o.at, {OPENING} FROM openings o JOIN deliveries d ON d.run_id = o.run_id AND d.seq = o.seq
         JOIN schedule_runs r ON r.id = o.run_id AND r.bot_id IS NOT NULL JOIN campaigns c ON c.id = r.campaign_id
         ORDER BY o.run_id, o.seq LIMIT $1"
    ))
    .bind::<Int8, _>(n)
    .load(conn)
}

/// Deliveries of bots to a contact through a channel that have begun no conversation
/// yet, though the contact may have them: taken, on the wire, or unconfirmed. Oldest first.
pub fn unopened(
    conn: &mut PgConnection,
    contact: ContactId,
    channel: ChannelId,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Opening>> {
    diesel::sql_query(format!(
        "SELECT coalesce(o.at, d.settled_at, $3) AS at, {OPENING}
         FROM deliveries d JOIN schedule_runs r ON r.id = d.run_id JOIN campaigns c ON c.id = r.campaign_id
         LEFT JOIN openings o ON o.run_id = d.run_id AND o.seq = d.seq
         WHERE d.contact_id = $1 AND r.channel_id = $2 AND r.bot_id IS NOT NULL AND r.purpose = 'campaign'
           AND d.seq < r.next_seq AND (d.outcome IS NULL OR d.outcome IN (0, 14))
           AND coalesce(d.settled_at, $3) > $3 - make_interval(mins => c.validity_minutes)
           AND NOT EXISTS (SELECT FROM retries t WHERE t.run_id = d.run_id AND t.seq = d.seq)
           AND NOT EXISTS (SELECT FROM conversations v WHERE v.run_id = d.run_id AND v.seq = d.seq)
         ORDER BY d.run_id"
    ))
    .bind::<Int8, _>(contact.0)
    .bind::<Int8, _>(channel.0)
    .bind::<Timestamptz, _>(now)
    .load(conn)
}

/// Strikes openings out.
pub fn strike_openings(conn: &mut PgConnection, of: &[Opening]) -> QueryResult<()> {
    let (runs, seqs): (Vec<i64>, Vec<i32>) = of.iter().map(|it| (it.run_id, it.seq)).unzip();
    diesel::sql_query(
        "DELETE FROM openings o USING unnest($1::bigint[], $2::integer[]) AS u (run_id, seq)
         WHERE o.run_id = u.run_id AND o.seq = u.seq",
    )
    .bind::<Array<Int8>, _>(runs)
    .bind::<Array<Int4>, _>(seqs)
    .execute(conn)
    .map(drop)
}

/// Whether a delivery has its conversation.
pub fn is_opened(conn: &mut PgConnection, run: RunId, seq: i32) -> QueryResult<bool> {
    let its = conversations::table.filter(conversations::run_id.eq(run.0)).filter(conversations::seq.eq(seq));
    diesel::select(diesel::dsl::exists(its)).get_result(conn)
}

// ---- messages ------------------------------------------------------------------

/// What a contact wrote.
pub struct Heard<'a> {
    pub text: &'a str,
    pub at: DateTime<Utc>,
    /// The provider's name for it.
    pub provider_id: &'a str,
}

/// Whether a message was taken in before.
pub fn is_taken_in(conn: &mut PgConnection, channel: ChannelId, provider_id: &str) -> QueryResult<bool> {
    let it = messages::table.filter(messages::channel_id.eq(channel.0)).filter(messages::provider_id.eq(provider_id));
    diesel::select(diesel::dsl::exists(it)).get_result(conn)
}

/// Writes what a contact wrote. A second time it is refused by `taken_in_once`.
pub fn insert_heard(conn: &mut PgConnection, it: &Conversation, heard: &Heard<'_>) -> QueryResult<MessageId> {
    diesel::insert_into(messages::table)
        .values((
            messages::conversation_id.eq(it.id.0),
            messages::channel_id.eq(it.channel.0),
            messages::author.eq("contact"),
            messages::body.eq(heard.text),
            messages::at.eq(heard.at),
            messages::provider_id.eq(heard.provider_id),
        ))
        .returning(messages::id)
        .get_result(conn)
        .map(MessageId)
}

/// Writes the message of a campaign that began a conversation. Its fate stands in the ledger.
pub fn insert_first(
    conn: &mut PgConnection,
    it: &Conversation,
    (run, seq): (RunId, i32),
    body: &str,
    step: &str,
    choices: &[String],
    at: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(messages::table)
        .values((
            messages::conversation_id.eq(it.id.0),
            messages::channel_id.eq(it.channel.0),
            messages::author.eq("campaign"),
            messages::body.eq(body),
            messages::choices.eq(offered(choices)),
            messages::step.eq(step),
            messages::at.eq(at),
            messages::run_id.eq(run.0),
            messages::seq.eq(seq),
        ))
        .execute(conn)
        .map(drop)
}

fn offered(choices: &[String]) -> Option<serde_json::Value> {
    (!choices.is_empty()).then(|| serde_json::json!(choices))
}

/// Why a message of ours is sent, and so what holds it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A bot answers what a contact wrote.
    Answer,
    /// A bot speaks up by itself.
    Reengager,
    Agent,
    /// Leaves even to those who have opted out, or are blocked after it was written.
    Notice,
}

impl Purpose {
    pub fn word(self) -> &'static str {
        match self {
            Purpose::Answer => "answer",
            Purpose::Reengager => "reengager",
            Purpose::Agent => "agent",
            Purpose::Notice => "notice",
        }
    }
}

/// A message of ours.
pub struct Saying<'a> {
    pub purpose: Purpose,
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
}

/// Writes a message of ours into the outbox, or beside it when it cannot leave.
pub fn insert_saying(
    conn: &mut PgConnection,
    it: &Conversation,
    saying: &Saying<'_>,
    now: DateTime<Utc>,
) -> QueryResult<MessageId> {
    let author = match (saying.agent, saying.step) {
        (Some(_), _) => "agent",
        (None, Some(_)) => "bot",
        (None, None) => "house",
    };
    let leaves = saying.unsaid.is_none();
    diesel::insert_into(messages::table)
        .values((
            messages::conversation_id.eq(it.id.0),
            messages::channel_id.eq(it.channel.0),
            messages::author.eq(author),
            messages::user_id.eq(saying.agent.map(|user| user.0)),
            messages::body.eq(saying.text),
            messages::choices.eq(offered(saying.choices)),
            messages::step.eq(saying.step),
            messages::at.eq(now),
            messages::purpose.eq(saying.purpose.word()),
            messages::schedule_id.eq(saying.schedule.map(|schedule| schedule.0)),
            messages::state.eq(if leaves { "queued" } else { "settled" }),
            messages::due_at.eq(leaves.then_some(now)),
            messages::outcome.eq((!leaves).then_some(Outcome::InvalidMessage.code())),
            messages::detail.eq(saying.unsaid),
            messages::settled_at.eq((!leaves).then_some(now)),
        ))
        .returning(messages::id)
        .get_result(conn)
        .map(MessageId)
}

/// Takes back what a bot has said and nobody has begun to send. The conversation is locked.
pub fn take_back(conn: &mut PgConnection, id: ConversationId, why: &str, now: DateTime<Utc>) -> QueryResult<usize> {
    diesel::update(messages::table)
        .filter(messages::conversation_id.eq(id.0))
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
pub struct Due {
    #[diesel(sql_type = Int8)]
    pub schedule_id: i64,
    #[diesel(sql_type = Int8)]
    pub campaign_id: i64,
    /// Messages a minute, where the schedule or its newest run has a rate.
    #[diesel(sql_type = Nullable<diesel::sql_types::Float8>)]
    pub rate: Option<f64>,
    #[diesel(sql_type = Text)]
    pub zone: String,
}

/// Schedules that may let a bot speak up now. Goes from schedule to schedule through the
/// index: a million conversations that wait, or wait under a pause, cost nothing.
pub fn due_to_wake(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Vec<Due>> {
    diesel::sql_query(include_str!("due_to_wake.sql")).bind::<Timestamptz, _>(now).load(conn)
}

/// How many bots of a schedule spoke up since then.
pub fn spoke_up_since(conn: &mut PgConnection, schedule: ScheduleId, since: DateTime<Utc>) -> QueryResult<i64> {
    messages::table
        .filter(messages::schedule_id.eq(schedule.0))
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
    conversations::table
        .inner_join(contacts::table.on(contacts::id.eq(conversations::contact_id)))
        .filter(conversations::schedule_id.eq(schedule.0))
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
