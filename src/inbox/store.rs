//! What the inbox asks: a page of conversations, whether there is news, and one conversation whole.
//!
//! Whoever waits for a human comes first, the longest waiting at the top; then the others,
//! by their last message. A page goes along one index of its view, from the place where the
//! page before ended. A search first finds which conversations can be meant, and of those
//! no more than a bounded number.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{Array, BigInt, Bool, Int2, Int8, Jsonb, Nullable, Text, Timestamptz};

use crate::bots;
use crate::bots::steps::{StepId, Steps};
use crate::bots::turn::TurnState;
use crate::clock::instant_from_outside;
use crate::contacts::addresses::{as_stored, in_full};
use crate::contacts::search::starts;
use crate::contacts::store::Contact;
use crate::conversations::rounds::QUIET;
use crate::conversations::{Conversation, store};
use crate::db::locks::{self, Lock};
use crate::db::{Assembled, N, Zone, containing};
use crate::deliveries::{Outcome, Standing};
use crate::ids::{CampaignId, ChannelId, ContactId, ConversationId, MessageId, UserId};
use crate::media::heard::HeardFile;
use crate::providers::Kind;
use crate::words::words;
use crate::{channels, contacts, media};

/// Conversations of a kind that a search looks at, at most; the newest.
const FOUND: i64 = 2000;
/// Conversations in which a search looks for names, the newest.
const NAMED: i64 = 10_000;
/// Views are counted no further.
pub const COUNTED: i64 = 1000;
/// Numbers of news that are compared. One that commits late, after later ones, is noticed
/// as long as no more than so many came in between.
const NEWS: i64 = 64;

words! {
    /// Which conversations somebody wants to see.
    #[derive(Default)]
    pub enum View {
        #[default]
        All = "all" => "All",
        /// Those in which a human is waited for.
        Unanswered = "unanswered" => "Unanswered",
        /// Those of them that are nobody's, or of whoever asks.
        ForYou = "for-you" => "For you",
        /// Open ones assigned to whoever asks.
        Mine = "mine" => "Mine",
        /// Open ones that humans have.
        Humans = "humans" => "With humans",
        /// Open ones that bots have.
        Bots = "bots" => "With a bot",
        Closed = "closed" => "Closed",
    }
}

impl View {
    /// Its conversations, as its index has them.
    fn condition(self, sql: &mut Assembled, person: UserId) {
        match self {
            View::Unanswered | View::All => sql.sql("true"),
            View::ForYou => sql.sql("(v.assigned_to IS NULL OR v.assigned_to = ").number(person.0).sql(")"),
            View::Mine => sql.sql("v.closed_at IS NULL AND v.assigned_to = ").number(person.0),
            View::Humans => sql.sql("v.handler = 'human' AND v.closed_at IS NULL"),
            View::Bots => sql.sql("v.handler = 'bot' AND v.closed_at IS NULL"),
            View::Closed => sql.sql("v.closed_at IS NOT NULL"),
        };
    }

    fn has_waiting(self) -> bool {
        match self {
            View::Unanswered | View::ForYou | View::Mine | View::Humans | View::All => true,
            View::Bots | View::Closed => false,
        }
    }

    fn has_others(self) -> bool {
        !matches!(self, View::Unanswered | View::ForYou)
    }
}

#[derive(Clone, Debug)]
pub struct InboxAsk {
    pub view: View,
    pub channel: Option<ChannelId>,
    pub campaign: Option<CampaignId>,
    pub label: Option<String>,
    /// As typed.
    pub q: String,
    pub place: InboxPlace,
    /// Who asks: whose are "mine".
    pub person: UserId,
}

/// Where in the list a page begins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum InboxPlace {
    #[default]
    Start,
    /// Behind this one among those that wait.
    Waiting(DateTime<Utc>, i64),
    /// Behind this one among the others.
    Others(DateTime<Utc>, i64),
}

impl InboxPlace {
    pub fn parse(text: &str) -> InboxPlace {
        let parsed = text.split_at_checked(1).and_then(|(which, rest)| {
            let (at, id) = rest.split_once('.')?;
            let at = instant_from_outside(at.parse().ok()?)?;
            let id = id.parse().ok()?;
            match which {
                "w" => Some(InboxPlace::Waiting(at, id)),
                "o" => Some(InboxPlace::Others(at, id)),
                _ => None,
            }
        });
        parsed.unwrap_or_default()
    }
}

impl std::fmt::Display for InboxPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            InboxPlace::Start => Ok(()),
            InboxPlace::Waiting(at, id) => write!(f, "w{}.{id}", at.timestamp_micros()),
            InboxPlace::Others(at, id) => write!(f, "o{}.{id}", at.timestamp_micros()),
        }
    }
}

/// A conversation in the list.
#[derive(Clone, Debug, QueryableByName)]
pub struct ListedConversation {
    #[diesel(sql_type = Int8)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    pub address: String,
    #[diesel(sql_type = Jsonb)]
    values: serde_json::Value,
    #[diesel(sql_type = Text)]
    pub channel: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub campaign: Option<String>,
    #[diesel(sql_type = Text)]
    handler: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub bot: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    pub last_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub unanswered_since: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    pub closed_because: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub fault: Option<String>,
    #[diesel(sql_type = Bool)]
    pub doubted: bool,
    #[diesel(sql_type = Nullable<Text>)]
    pub assignee: Option<String>,
    #[diesel(sql_type = Array<Text>)]
    pub labels: Vec<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub author: Option<String>,
    /// The beginning of the last message.
    #[diesel(sql_type = Nullable<Text>)]
    pub said: Option<String>,
}

impl ListedConversation {
    pub fn name(&self) -> Option<&str> {
        name_among(&self.values)
    }

    /// The address as people write it.
    pub fn address_in_full(&self) -> String {
        Kind::of_word(&self.kind).map_or_else(|| self.address.clone(), |kind| in_full(kind, &self.address))
    }

    pub fn is_with_bot(&self) -> bool {
        self.handler == "bot" && self.closed_because.is_none()
    }

    fn place(&self) -> InboxPlace {
        match self.unanswered_since {
            Some(since) => InboxPlace::Waiting(since, self.id),
            None => InboxPlace::Others(self.last_at, self.id),
        }
    }
}

/// What a contact is called, if a value says it.
pub fn name_among(values: &serde_json::Value) -> Option<&str> {
    let fields = || values.as_object().into_iter().flatten();
    let text = |value: &'_ serde_json::Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    let exactly = fields().find(|(field, value)| field.eq_ignore_ascii_case("name") && text(value));
    let nearly = || fields().find(|(field, value)| field.to_lowercase().contains("name") && text(value));
    exactly.or_else(nearly).and_then(|(_, value)| value.as_str())
}

pub struct Page {
    pub conversations: Vec<ListedConversation>,
    /// Where the next page begins, if there is one.
    pub next: Option<InboxPlace>,
}

/// Up to `n` conversations.
pub fn page(conn: &mut PgConnection, ask: &InboxAsk, n: usize) -> QueryResult<Page> {
    let q = ask.q.trim();
    let among = if q.is_empty() { None } else { Some(found(conn, q)?) };
    let mut rows = Vec::new();
    if ask.view.has_waiting() && !matches!(ask.place, InboxPlace::Others(..)) {
        rows = stretch(conn, ask, among.as_deref(), true, n + 1)?;
    }
    if ask.view.has_others() && rows.len() <= n {
        let left = n + 1 - rows.len();
        rows.extend(stretch(conn, ask, among.as_deref(), false, left)?);
    }
    let more = rows.len() > n;
    rows.truncate(n);
    let next = rows.last().filter(|_| more).map(ListedConversation::place);
    Ok(Page { conversations: rows, next })
}

/// Who comes next in a list for whoever has done with the conversation `behind`: the first that
/// waits for a human or, among their own and those that humans have, the first that is open.
pub fn next(conn: &mut PgConnection, ask: &InboxAsk, behind: ConversationId) -> QueryResult<Option<ConversationId>> {
    let any_open = matches!(ask.view, View::Mine | View::Humans);
    let is_next = |it: &ListedConversation| {
        it.id != behind.0 && it.closed_because.is_none() && (any_open || it.unanswered_since.is_some())
    };
    let ask = InboxAsk { place: InboxPlace::Start, ..ask.clone() };
    let listed = page(conn, &ask, 2)?.conversations;
    Ok(listed.iter().find(|it| is_next(it)).map(|it| ConversationId(it.id)))
}

/// Conversations of a page from one of its two parts: those that wait, or the others.
fn stretch(
    conn: &mut PgConnection,
    ask: &InboxAsk,
    among: Option<&[i64]>,
    waiting: bool,
    n: usize,
) -> QueryResult<Vec<ListedConversation>> {
    let mut sql = Assembled::default();
    sql.sql(
        "SELECT v.id, c.kind, c.address, c.\"values\", ch.name AS channel, p.name AS campaign, v.handler, b.name AS bot,
                v.last_at, v.unanswered_since, v.closed_because, v.fault, v.doubted, u.name AS assignee, v.labels,
                m.author, m.said
         FROM (SELECT * FROM conversations v WHERE ",
    );
    ask.view.condition(&mut sql, ask.person);
    sql.sql(if waiting { " AND v.unanswered_since IS NOT NULL" } else { " AND v.unanswered_since IS NULL" });
    let after = match (waiting, ask.place) {
        (true, InboxPlace::Waiting(at, id)) => Some((" AND (v.unanswered_since, v.id) > (", at, id)),
        (false, InboxPlace::Others(at, id)) => Some((" AND (v.last_at, v.id) < (", at, id)),
        (true, InboxPlace::Start | InboxPlace::Others(..)) | (false, InboxPlace::Start | InboxPlace::Waiting(..)) => {
            None
        }
    };
    if let Some((compared, at, id)) = after {
        sql.sql(compared).text(&at.to_rfc3339()).sql("::timestamptz, ").number(id).sql(")");
    }
    if let Some(channel) = ask.channel {
        sql.sql(" AND v.channel_id = ").number(channel.0);
    }
    if let Some(campaign) = ask.campaign {
        sql.sql(" AND v.campaign_id = ").number(campaign.0);
    }
    if let Some(label) = &ask.label {
        // The second as it stands in the index.
        sql.sql(" AND v.labels @> ").texts(vec![label.clone()]).sql(" AND v.labels <> '{}'");
    }
    if let Some(among) = among {
        sql.sql(" AND v.id = ANY (").numbers(among.to_vec()).sql(")");
    }
    let order = if waiting { " ORDER BY v.unanswered_since, v.id" } else { " ORDER BY v.last_at DESC, v.id DESC" };
    sql.sql(order).sql(" LIMIT ").number(n as i64);
    sql.sql(
        ") v JOIN contacts c ON c.id = v.contact_id JOIN channels ch ON ch.id = v.channel_id
         LEFT JOIN campaigns p ON p.id = v.campaign_id LEFT JOIN bots b ON b.id = v.bot_id
         LEFT JOIN users u ON u.id = v.assigned_to
         LEFT JOIN LATERAL (SELECT author, left(body, 200) AS said FROM messages WHERE conversation_id = v.id
                            ORDER BY id DESC LIMIT 1) m ON true",
    );
    sql.sql(order);
    sql.query().load(conn)
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Int8)]
    id: i64,
}

/// Conversations that a search can mean: whose contact's address, customer ID or name begins
/// so, or in which somebody wrote that.
fn found(conn: &mut PgConnection, q: &str) -> QueryResult<Vec<i64>> {
    let mut ids = BTreeSet::new();
    let mut add = |conn: &mut PgConnection, sql: Assembled| {
        sql.query().load::<Id>(conn).map(|rows| ids.extend(rows.into_iter().map(|row| row.id)))
    };
    let address = as_stored(q);
    if !address.is_empty() {
        let mut sql = Assembled::default();
        sql.sql("SELECT v.id FROM contacts c JOIN conversations v ON v.contact_id = c.id WHERE c.kind = ANY (");
        sql.texts(Kind::ALL.iter().map(|kind| kind.word().to_owned()).collect()).sql(") AND ");
        starts(&mut sql, "c.address", &address);
        sql.sql(" LIMIT ").number(FOUND);
        add(conn, sql)?;
    }
    let small = q.to_lowercase();
    let mut sql = Assembled::default();
    sql.sql(
        "SELECT v.id FROM contacts c JOIN conversations v ON v.contact_id = c.id WHERE c.customer_id IS NOT NULL AND ",
    );
    starts(&mut sql, "lower(c.customer_id)", &small);
    sql.sql(" LIMIT ").number(FOUND);
    add(conn, sql)?;

    let mut sql = Assembled::default();
    sql.sql("SELECT v.id FROM (SELECT id, contact_id FROM conversations ORDER BY last_at DESC, id DESC LIMIT ")
        .number(NAMED)
        .sql(
            ") v JOIN contacts c ON c.id = v.contact_id
             WHERE EXISTS (SELECT FROM jsonb_each_text(c.\"values\") f WHERE f.key ILIKE '%name%'
                           AND strpos(' ' || plain_text(f.value), ' ' || plain_text(",
        )
        .text(&small)
        .sql(")) > 0)");
    // How people at home write a number, and its last digits.
    if address.len() >= 4 && address.bytes().all(|b| b.is_ascii_digit()) {
        sql.sql(" OR right(c.address, length(").text(&address).sql(")) = ").text(&address);
    }
    add(conn, sql)?;

    // With less there is no trigram to go by.
    if q.chars().count() >= 3 {
        let mut sql = Assembled::default();
        sql.sql("SELECT conversation_id AS id FROM messages WHERE body ILIKE ")
            .text(&containing(q))
            .sql(" ORDER BY messages.id DESC LIMIT ")
            .number(FOUND);
        add(conn, sql)?;
    }
    Ok(ids.into_iter().collect())
}

/// How many conversations are in each view, in the order of [`View::ALL`]; counted to [`COUNTED`].
pub fn counts(conn: &mut PgConnection, person: UserId) -> QueryResult<Vec<(View, i64)>> {
    let mut sql = Assembled::default();
    for (n, view) in View::ALL.into_iter().enumerate() {
        sql.sql(if n == 0 { "" } else { " UNION ALL " });
        count(&mut sql, view, person);
    }
    let rows: Vec<N> = sql.query().load(conn)?;
    Ok(View::ALL.into_iter().zip(rows.into_iter().map(|row| row.n)).collect())
}

/// The same of one view.
pub fn count_of(conn: &mut PgConnection, view: View, person: UserId) -> QueryResult<i64> {
    let mut sql = Assembled::default();
    count(&mut sql, view, person);
    sql.query().get_result::<N>(conn).map(|row| row.n)
}

fn count(sql: &mut Assembled, view: View, person: UserId) {
    sql.sql("SELECT count(*) AS n FROM (SELECT FROM conversations v WHERE ");
    view.condition(sql, person);
    if !view.has_others() {
        sql.sql(" AND v.unanswered_since IS NOT NULL");
    }
    sql.sql(" LIMIT ").number(COUNTED).sql(") v");
}

#[derive(QueryableByName)]
struct Words {
    #[diesel(sql_type = Text)]
    word: String,
}

/// Stands for everything that has happened until now: another one when something is new.
pub fn news(conn: &mut PgConnection) -> QueryResult<String> {
    let row: Words = diesel::sql_query(
        "SELECT coalesce(md5(string_agg(changed::text, ' ')), 'none') AS word
         FROM (SELECT changed FROM conversations ORDER BY changed DESC LIMIT $1) v",
    )
    .bind::<Int8, _>(NEWS)
    .get_result(conn)?;
    Ok(row.word)
}

/// The same of one conversation.
pub fn news_of(conn: &mut PgConnection, id: ConversationId) -> QueryResult<i64> {
    use crate::db::schema::conversations;
    conversations::table.find(id).select(conversations::changed).first(conn)
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Int8)]
    id: i64,
    #[diesel(sql_type = Text)]
    name: String,
}

/// What the list can be narrowed to.
pub struct Choices {
    pub channels: Vec<(ChannelId, String)>,
    /// The newest that have conversations.
    pub campaigns: Vec<(CampaignId, String)>,
    pub labels: Vec<String>,
}

/// Looks along indexes only, however many conversations there are.
pub fn choices(conn: &mut PgConnection) -> QueryResult<Choices> {
    let channels = channels::store::list(conn)?.into_iter().map(|it| (it.id, it.setup.name)).collect();
    let campaigns: Vec<Named> = diesel::sql_query(
        "WITH RECURSIVE t AS (
             (SELECT campaign_id, 1 AS n FROM conversations WHERE campaign_id IS NOT NULL ORDER BY campaign_id DESC LIMIT 1)
             UNION ALL
             SELECT (SELECT v.campaign_id FROM conversations v WHERE v.campaign_id < t.campaign_id
                     ORDER BY v.campaign_id DESC LIMIT 1), t.n + 1
             FROM t WHERE t.campaign_id IS NOT NULL AND t.n < 100
         )
         SELECT p.id, p.name FROM t JOIN campaigns p ON p.id = t.campaign_id ORDER BY p.id DESC",
    )
    .load(conn)?;
    let labels: Vec<Words> = diesel::sql_query(
        "SELECT DISTINCT l AS word
         FROM (SELECT labels FROM conversations WHERE labels <> '{}' ORDER BY id DESC LIMIT 2000) v, unnest(v.labels) l
         ORDER BY word LIMIT 200",
    )
    .load(conn)?;
    Ok(Choices {
        channels,
        campaigns: campaigns.into_iter().map(|it| (CampaignId(it.id), it.name)).collect(),
        labels: labels.into_iter().map(|it| it.word).collect(),
    })
}

// ---- one conversation ------------------------------------------------------------

/// One conversation with everything around it, but its messages.
pub struct Thread {
    pub it: Conversation,
    pub changed: i64,
    pub kind: Kind,
    pub channel: String,
    pub campaign: Option<String>,
    /// The campaign's zone, if it has one.
    pub zone: Option<Tz>,
    pub bot: Option<String>,
    /// What the bot's steps are called.
    pub steps: Steps,
    pub contact: Contact,
    pub contact_doubted: bool,
    /// Bots do not answer them, because a machine seems to.
    pub bots_silent: bool,
    pub assignee: Option<String>,
    /// The contact's other conversations, the newest first.
    pub others: Vec<Other>,
}

impl Thread {
    pub fn step(&self, id: &str) -> Option<&str> {
        self.steps.get(&StepId(id.to_owned())).map(|step| step.name.as_str())
    }

    /// The step whose question the bot waits to have answered.
    pub fn waits_at(&self) -> Option<&str> {
        match &self.it.memory.as_ref()?.state {
            TurnState::Waiting { step, .. } => self.step(&step.0),
            TurnState::New
            | TurnState::HandedOver
            | TurnState::Blocked
            | TurnState::Closed
            | TurnState::Parked { .. } => None,
        }
    }

    /// Why nothing that is written to this contact would leave, if so.
    pub fn barred(&self) -> Option<Barred> {
        match (self.contact.blocked, self.contact.opted_out_at) {
            (true, _) => Some(Barred::Blocked),
            (false, Some(_)) => Some(Barred::OptedOut),
            (false, None) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    Blocked,
    OptedOut,
}

/// Another conversation of the same contact.
#[derive(Clone, Debug, QueryableByName)]
pub struct Other {
    #[diesel(sql_type = Int8)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub channel: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub campaign: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    pub last_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    pub open: bool,
}

#[derive(QueryableByName)]
struct Around {
    #[diesel(sql_type = Int8)]
    changed: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    channel: String,
    #[diesel(sql_type = Nullable<Text>)]
    campaign: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    zone: Option<Zone>,
    #[diesel(sql_type = Nullable<Text>)]
    bot: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    assignee: Option<String>,
    #[diesel(sql_type = Bool)]
    contact_doubted: bool,
    #[diesel(sql_type = Bool)]
    bots_silent: bool,
}

pub fn thread(conn: &mut PgConnection, id: ConversationId, now: DateTime<Utc>) -> QueryResult<Thread> {
    // Before the rest: what changes meanwhile is then seen again by the next question for news.
    let around: Around = diesel::sql_query(
        "SELECT v.changed, ch.kind, ch.name AS channel, p.name AS campaign, p.time_zone AS zone, b.name AS bot,
                u.name AS assignee, c.doubted_at IS NOT NULL AS contact_doubted,
                EXISTS (SELECT FROM bot_rounds r
                        WHERE r.contact_id = c.id AND r.silent_since IS NOT NULL AND r.last_at > $2) AS bots_silent
         FROM conversations v JOIN channels ch ON ch.id = v.channel_id JOIN contacts c ON c.id = v.contact_id
         LEFT JOIN campaigns p ON p.id = v.campaign_id LEFT JOIN bots b ON b.id = v.bot_id
         LEFT JOIN users u ON u.id = v.assigned_to
         WHERE v.id = $1",
    )
    .bind::<Int8, _>(id)
    .bind::<Timestamptz, _>(now - QUIET)
    .get_result(conn)?;
    let it = store::find(conn, id)?;
    let others = diesel::sql_query(
        "SELECT v.id, ch.name AS channel, p.name AS campaign, v.last_at, v.closed_at IS NULL AS open
         FROM conversations v JOIN channels ch ON ch.id = v.channel_id LEFT JOIN campaigns p ON p.id = v.campaign_id
         WHERE v.contact_id = $1 AND v.id <> $2 ORDER BY v.id DESC LIMIT 10",
    )
    .bind::<Int8, _>(it.contact)
    .bind::<Int8, _>(id)
    .load(conn)?;
    let steps = match it.bot {
        Some(bot) => bots::store::find_version(conn, bot.bot, bot.version)?.steps,
        None => Steps::default(),
    };
    let kind = Kind::of_word(&around.kind);
    Ok(Thread {
        changed: around.changed,
        kind: kind.ok_or_else(|| DeserializationError(format!("channels: not a kind: {}", around.kind).into()))?,
        channel: around.channel,
        campaign: around.campaign,
        zone: around.zone.map(|Zone(zone)| zone),
        bot: around.bot,
        steps,
        contact: contacts::store::find(conn, it.contact, now)?,
        contact_doubted: around.contact_doubted,
        bots_silent: around.bots_silent,
        assignee: around.assignee,
        others,
        it,
    })
}

/// Who said a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    Contact,
    /// The first message of a run.
    Campaign,
    Bot,
    Agent,
    /// A notice, such as the confirmation of an opt-out.
    House,
}

impl Author {
    pub fn of_word(word: &str) -> Option<Author> {
        match word {
            "contact" => Some(Author::Contact),
            "campaign" => Some(Author::Campaign),
            "bot" => Some(Author::Bot),
            "agent" => Some(Author::Agent),
            "house" => Some(Author::House),
            _ => None,
        }
    }
}

/// A message as the thread shows it.
#[derive(Clone, Debug)]
pub struct ThreadMessage {
    pub id: MessageId,
    pub author: Author,
    /// The agent's name.
    pub agent: Option<String>,
    pub body: String,
    pub choices: Vec<String>,
    pub step: Option<String>,
    pub at: DateTime<Utc>,
    pub fate: Option<ThreadFate>,
    /// What came with it.
    pub heard: Vec<HeardFile>,
}

/// What became of a message of ours.
#[derive(Clone, Debug)]
pub struct ThreadFate {
    /// `None`: it waits to leave.
    pub standing: Option<Standing>,
    /// What the provider or we said about it.
    pub detail: Option<String>,
    /// When it is tried again.
    pub next_try_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct MessageRow {
    #[diesel(sql_type = Int8)]
    id: i64,
    #[diesel(sql_type = Text)]
    author: String,
    #[diesel(sql_type = Nullable<Text>)]
    agent: Option<String>,
    #[diesel(sql_type = Text)]
    body: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    choices: Option<serde_json::Value>,
    #[diesel(sql_type = Nullable<Text>)]
    step: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    state: Option<String>,
    #[diesel(sql_type = Int2)]
    attempt: i16,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    due_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Int2>)]
    progress: Option<i16>,
    #[diesel(sql_type = Nullable<Int2>)]
    outcome: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    detail: Option<String>,
}

impl TryFrom<MessageRow> for ThreadMessage {
    type Error = diesel::result::Error;

    fn try_from(row: MessageRow) -> QueryResult<ThreadMessage> {
        let Some(author) = Author::of_word(&row.author) else {
            return Err(DeserializationError(format!("messages: not an author: {}", row.author).into()));
        };
        let said = match (row.outcome.and_then(Outcome::of_code), row.progress) {
            (Some(Outcome::Delivered), Some(3)) => Standing::Read,
            (Some(outcome), _) => Standing::Final(outcome),
            (None, Some(2..)) => Standing::Sent,
            (None, Some(_)) => Standing::Accepted,
            (None, None) => Standing::InFlight,
        };
        let standing = match (row.state.as_deref(), row.attempt) {
            (Some("queued"), 0) => None,
            (Some("queued"), _) => Some(Standing::Retrying),
            (Some("claimed"), _) => Some(Standing::InFlight),
            (Some(_) | None, _) => Some(said),
        };
        let next_try_at = row.due_at.filter(|_| standing == Some(Standing::Retrying));
        Ok(ThreadMessage {
            id: MessageId(row.id),
            author,
            agent: row.agent,
            body: row.body,
            choices: row.choices.and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default(),
            step: row.step,
            at: row.at,
            fate: (author != Author::Contact).then_some(ThreadFate { standing, detail: row.detail, next_try_at }),
            heard: Vec::new(),
        })
    }
}

/// Which messages of a conversation.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The last ones before this.
    Before(MessageId),
    /// The first ones after this.
    After(MessageId),
}

impl Which {
    pub const NEWEST: Which = Which::Before(MessageId(i64::MAX));
}

/// Up to `n` messages, in the order in which they were said.
pub fn messages(conn: &mut PgConnection, id: ConversationId, which: Which, n: i64) -> QueryResult<Vec<ThreadMessage>> {
    let mut sql = Assembled::default();
    sql.sql(
        "SELECT m.id, m.author, u.name AS agent, m.body, m.choices, m.step, m.at, m.state, m.attempt, m.due_at,
                coalesce(m.progress, d.progress) AS progress, coalesce(m.outcome, d.outcome) AS outcome,
                coalesce(m.detail, d.detail) AS detail
         FROM (SELECT * FROM messages WHERE conversation_id = ",
    );
    sql.number(id.0);
    match which {
        Which::Before(before) => sql.sql(" AND id < ").number(before.0).sql(" ORDER BY id DESC LIMIT ").number(n),
        Which::After(after) => sql.sql(" AND id > ").number(after.0).sql(" ORDER BY id LIMIT ").number(n),
    };
    sql.sql(
        ") m LEFT JOIN users u ON u.id = m.user_id
         LEFT JOIN deliveries d ON d.run_id = m.run_id AND d.seq = m.seq
         ORDER BY m.id",
    );
    let rows = sql.query().load::<MessageRow>(conn)?;
    let mut messages: Vec<ThreadMessage> = rows.into_iter().map(ThreadMessage::try_from).collect::<QueryResult<_>>()?;
    let ids: Vec<MessageId> = messages.iter().filter(|it| it.author == Author::Contact).map(|it| it.id).collect();
    let mut heard = media::store::heard_with(conn, &ids)?;
    for it in &mut messages {
        it.heard = heard.remove(&it.id).unwrap_or_default();
    }
    Ok(messages)
}

/// What is known about a contact, by field name, for a text of an agent.
pub fn values(conn: &mut PgConnection, contact: ContactId) -> QueryResult<serde_json::Map<String, serde_json::Value>> {
    use crate::db::schema::contacts;
    let values: serde_json::Value = contacts::table.find(contact).select(contacts::values).first(conn)?;
    Ok(values.as_object().cloned().unwrap_or_default())
}

#[derive(QueryableByName)]
struct Replied {
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    mine: Option<i64>,
}

/// What agents have written since a message, as an agent who replies has to know.
pub struct Since {
    /// Who else has written, if anybody.
    pub other: Option<String>,
    /// The same text of the same agent: their button was pressed twice.
    pub same: Option<MessageId>,
}

pub fn since(
    conn: &mut PgConnection,
    id: ConversationId,
    seen: MessageId,
    text: &str,
    by: UserId,
) -> QueryResult<Since> {
    let row: Replied = diesel::sql_query(
        "SELECT (SELECT u.name FROM messages m JOIN users u ON u.id = m.user_id
                 WHERE m.conversation_id = $1 AND m.id > $2 AND m.user_id <> $3 ORDER BY m.id DESC LIMIT 1) AS name,
                (SELECT max(m.id) FROM messages m
                 WHERE m.conversation_id = $1 AND m.id > $2 AND m.user_id = $3 AND m.body = $4) AS mine",
    )
    .bind::<Int8, _>(id)
    .bind::<Int8, _>(seen)
    .bind::<Int8, _>(by)
    .bind::<Text, _>(text)
    .get_result(conn)?;
    Ok(Since { other: row.name, same: row.mine.map(MessageId) })
}

/// The words that put a contact's consent in doubt, and the provider's name for that message.
pub fn doubtful_words(
    conn: &mut PgConnection,
    contact: ContactId,
) -> QueryResult<Option<(Option<String>, Option<String>)>> {
    use crate::db::schema::consent_changes as changes;
    changes::table
        .filter(changes::contact_id.eq(contact))
        .filter(changes::change.eq("doubted"))
        .order(changes::id.desc())
        .select((changes::words, changes::message))
        .first(conn)
        .optional()
}

/// The conversations of a contact that are in doubt, and this one: locked, in one order.
pub fn lock_doubted(conn: &mut PgConnection, contact: ContactId, id: ConversationId) -> QueryResult<Vec<Conversation>> {
    locks::take(Lock::Conversation);
    let rows: Vec<Id> = diesel::sql_query(
        "SELECT id FROM conversations WHERE contact_id = $1 AND (doubted OR id = $2) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind::<Int8, _>(contact)
    .bind::<Int8, _>(id)
    .load(conn)?;
    rows.into_iter().map(|row| store::find(conn, ConversationId(row.id))).collect()
}

/// Who can be assigned to: those who may answer.
pub fn agents(conn: &mut PgConnection) -> QueryResult<Vec<(UserId, String)>> {
    use crate::access::Role;
    let all = crate::people::store::list(conn)?.into_iter();
    let may_answer = all.filter(|it| it.disabled_at.is_none() && it.role >= Role::Operator);
    Ok(may_answer.map(|it| (it.id, it.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_and_one_that_nobody_made_is_the_start() {
        let at = DateTime::from_timestamp_micros(1_772_000_000_123_456).unwrap();
        for place in [InboxPlace::Start, InboxPlace::Waiting(at, 7), InboxPlace::Others(at, 8)] {
            assert_eq!(InboxPlace::parse(&place.to_string()), place);
        }
        for text in ["x1.2", "w", "w1", "wx.1", "é1.1", "w1.x"] {
            assert_eq!(InboxPlace::parse(text), InboxPlace::Start, "{text}");
        }
    }

    #[test]
    fn a_contact_is_called_by_the_field_that_says_it() {
        let of = |text| name_among(&serde_json::from_str(text).unwrap()).map(str::to_owned);
        assert_eq!(of(r#"{"city": "Cork", "Name": "Ada"}"#).as_deref(), Some("Ada"));
        assert_eq!(of(r#"{"first name": "Ada", "name": " "}"#).as_deref(), Some("Ada"));
        assert_eq!(of(r#"{"city": "Cork"}"#), None);
    }
}
