//! actions: Every message of a draft, written and weighed before one leaves.
//!
//! A tick goes through the contacts in batches, so that a million of them need no more
//! memory than a thousand. What it has found is kept when it is through; one that dies
//! on the way is started over when its lease has run out, once. What was found holds for one
//! [fingerprint](super::fingerprint) of the draft, and blocks nothing.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{Array, Int2, Int4, Int8, Jsonb, Text as SqlText, Timestamptz};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::access::Actor;
use crate::bots::first::{First, Unsaid};
use crate::campaigns::{Campaign, store};
use crate::channels::domain::Channel;
use crate::clock::Clock;
use crate::db::locks::{self, Lock};
use crate::db::schema::dry_runs;
use crate::db::{Db, is_gone};
use crate::deliveries::{self, Outcome};
use crate::drafting::audience::Audience;
use crate::files::domain::File;
use crate::ids::{CampaignId, ContactId, ScheduleId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::providers::Kind;
use crate::schedules::{self, Schedule};
use crate::wording::{Encoding, segments};
use crate::{bots, channels, lists};

/// Contacts read at once.
const BATCH: i64 = 5_000;
/// A check that was begun so often and never came to an end is not begun again.
const MOST_TRIES: i16 = 2;
/// Without news for this long, it is started over.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// A text of more SMS is too long.
pub const MOST_PARTS: usize = 6;
/// A text of more characters is too long where there are no SMS.
pub const MOST_CHARACTERS: usize = 1_600;

fn most_characters() -> usize {
    MOST_CHARACTERS
}
/// Contacts in trouble that are named for each schedule.
const EXAMPLES: usize = 20;
/// Drafts to so many contacts are checked without being asked to.
pub const UNASKED: i64 = 20_000;

/// The last check of a draft.
#[derive(Clone, Debug, PartialEq)]
pub struct DryRun {
    pub fingerprint: String,
    pub rows_done: i64,
    pub rows: i64,
    pub asked_at: DateTime<Utc>,
    /// It ended too often without an answer; nobody is at it any more.
    pub failed: bool,
    /// When it was through, and what it found.
    pub done: Option<(DateTime<Utc>, Checked)>,
}

/// What became of the messages of a draft.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    pub schedules: Vec<Weighed>,
    /// Contacts that no schedule serves.
    pub no_group: i64,
    /// Rows that the import left out because their address had come before.
    pub duplicates: i64,
    /// Rows that the import could not take.
    pub not_taken: i64,
}

/// What became of the messages of one schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighed {
    pub schedule: ScheduleId,
    pub name: String,
    pub is_sms: bool,
    pub contacts: i64,
    pub blocklisted: i64,
    pub opted_out: i64,
    /// Seem to have opted out in words of their own; nobody has decided yet.
    #[serde(default)]
    pub doubted: i64,
    /// Contacts that lack a value, by the first field that they lack.
    pub missing: BTreeMap<String, i64>,
    /// Longer than anybody wants to read, or than the channel carries.
    pub too_long: i64,
    /// Characters from which a text that is no SMS is too long.
    #[serde(default = "most_characters")]
    pub most: usize,
    /// Sent as Unicode, because of a character outside the alphabet of SMS.
    pub unicode: i64,
    /// SMS of all that is sent.
    pub parts: i64,
    pub examples: Vec<ExampleMessage>,
}

/// A contact in trouble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExampleMessage {
    /// Line of the file; for lists the number of the contact in the audience.
    pub row: i64,
    pub address: String,
    pub why: String,
}

impl Weighed {
    fn of(schedule: &Schedule, channel: Option<&Channel>) -> Self {
        let is_sms = channel.is_some_and(|it| it.kind == Kind::Sms);
        let longest = channel.and_then(|it| it.provider.longest());
        Weighed {
            schedule: schedule.id,
            name: schedule.plan.name.clone(),
            is_sms,
            contacts: 0,
            blocklisted: 0,
            opted_out: 0,
            doubted: 0,
            missing: BTreeMap::new(),
            too_long: 0,
            most: longest.map_or(MOST_CHARACTERS, |longest| longest.min(MOST_CHARACTERS)),
            unicode: 0,
            parts: 0,
            examples: Vec::new(),
        }
    }

    /// Contacts that get nothing for want of a value.
    pub fn n_missing(&self) -> i64 {
        self.missing.values().sum()
    }

    /// Contacts that are sent to.
    pub fn sent(&self) -> i64 {
        self.contacts - self.blocklisted - self.opted_out - self.doubted - self.n_missing()
    }

    pub fn is_fine(&self) -> bool {
        self.sent() == self.contacts && self.too_long == 0
    }

    /// Weighs the message to one contact, as the dispatcher would come to it: consent
    /// first, then the text.
    fn add(&mut self, row: &Row, barred: Option<Outcome>, (first, at): &(First, DateTime<Utc>)) {
        self.contacts += 1;
        match barred {
            Some(Outcome::Blocklisted) => {
                self.blocklisted += 1;
                return self.name(row, || "on the blocklist".to_owned());
            }
            Some(Outcome::Doubted) => {
                self.doubted += 1;
                return self.name(row, || "seems to have opted out".to_owned());
            }
            Some(_) => {
                self.opted_out += 1;
                return self.name(row, || "opted out".to_owned());
            }
            None => {}
        }
        let nothing = serde_json::Map::new();
        let written = match first.render(row.values.as_object().unwrap_or(&nothing), *at) {
            Ok(content) => content.words().0.to_owned(),
            Err(unsaid) => {
                let field = match &unsaid {
                    Unsaid::Missing(field) => field.clone(),
                    Unsaid::Nothing => unsaid.to_string(),
                };
                *self.missing.entry(field.clone()).or_default() += 1;
                return self.name(row, || match unsaid {
                    Unsaid::Missing(_) => format!("no value for #{field}"),
                    Unsaid::Nothing => field,
                });
            }
        };
        let (long, size) = if self.is_sms {
            let it = segments(&written);
            self.parts += it.parts as i64;
            self.unicode += i64::from(it.encoding == Encoding::Ucs2);
            (it.parts > MOST_PARTS, format!("{} SMS", it.parts))
        } else {
            let n = written.chars().count();
            (n > self.most, format!("{n} characters"))
        };
        if long {
            self.too_long += 1;
            self.name(row, || format!("too long: {size}"));
        }
    }

    fn name(&mut self, row: &Row, why: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(ExampleMessage { row: row.n, address: row.address.clone(), why: why() });
        }
    }
}

/// One contact.
struct Row {
    /// What it goes on from.
    key: i64,
    /// What people call it.
    n: i64,
    contact: ContactId,
    address: String,
    values: Value,
}

// ---- asking ----------------------------------------------------------------------

/// Fingerprint, state, rows done, rows, when it was asked for, when it was through, and what it found.
type Kept = (String, String, i64, i64, DateTime<Utc>, Option<DateTime<Utc>>, Option<Value>);

pub fn find(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Option<DryRun>> {
    let row: Option<Kept> = dry_runs::table
        .find(id)
        .select((
            dry_runs::fingerprint,
            dry_runs::state,
            dry_runs::rows_done,
            dry_runs::rows,
            dry_runs::asked_at,
            dry_runs::done_at,
            dry_runs::result,
        ))
        .first(conn)
        .optional()?;
    let Some((fingerprint, state, rows_done, rows, asked_at, done_at, result)) = row else { return Ok(None) };
    let result = result.map(serde_json::from_value).transpose();
    let result = result.map_err(|error| DeserializationError(error.into()))?;
    let failed = state == "failed";
    Ok(Some(DryRun { fingerprint, rows_done, rows, asked_at, failed, done: done_at.zip(result) }))
}

/// Has a draft checked as it is now. One that is under way starts over.
pub fn order(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        ask(conn, id, now)?;
        journal::note(conn, Entry::new(Happened::CampaignCheckOrdered, id, by).of(id), now)
    })
}

fn ask(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> QueryResult<()> {
    let campaign = store::find(conn, id)?;
    let (fingerprint, rows) = crate::drafting::audience::fingerprint_of(conn, &campaign)?;
    let asked = (
        dry_runs::fingerprint.eq(fingerprint),
        dry_runs::state.eq("waiting"),
        dry_runs::rows_done.eq(0),
        dry_runs::rows.eq(rows),
        dry_runs::result.eq(None::<Value>),
        dry_runs::worker.eq(None::<Uuid>),
        dry_runs::lease_ends_at.eq(None::<DateTime<Utc>>),
        dry_runs::asked_at.eq(now),
        dry_runs::done_at.eq(None::<DateTime<Utc>>),
        dry_runs::tries.eq(0),
    );
    diesel::insert_into(dry_runs::table)
        .values((dry_runs::campaign_id.eq(id), asked.clone()))
        .on_conflict(dry_runs::campaign_id)
        .do_update()
        .set(asked)
        .execute(conn)
        .map(drop)
}

// ---- checking --------------------------------------------------------------------

/// The right to check a draft until a lease ends.
struct Claim {
    campaign: CampaignId,
    worker: Uuid,
    tries: i16,
}

/// Checks the next draft that waits for it. `None` when none does. Blocks for as long
/// as it takes.
pub fn next(db: &Db, clock: &Clock) -> anyhow::Result<Option<CampaignId>> {
    let conn = &mut *db.lend()?;
    let Some(claim) = claim(conn, clock.now())? else { return Ok(None) };
    let id = claim.campaign;
    if claim.tries > MOST_TRIES {
        give_up(conn, &claim, clock.now())?;
        return Ok(Some(id));
    }
    let checked = check(conn, &claim, clock);
    if let Err(error) = &checked
        && is_gone(error)
    {
        // What ended it was not the draft.
        diesel::update(held(&claim)).set(dry_runs::tries.eq(dry_runs::tries - 1)).execute(&mut *db.lend()?)?;
    }
    checked.with_context(|| format!("check of campaign {id}"))?;
    Ok(Some(id))
}

/// Says that nobody knows, and writes it down.
fn give_up(conn: &mut PgConnection, claim: &Claim, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let failed = (
            dry_runs::state.eq("failed"),
            dry_runs::worker.eq(None::<Uuid>),
            dry_runs::lease_ends_at.eq(None::<DateTime<Utc>>),
        );
        if diesel::update(held(claim)).set(failed).execute(conn)? == 0 {
            return Ok(());
        }
        let entry = Entry::new(Happened::CampaignCheckEnded, claim.campaign, Actor::Clock)
            .of(claim.campaign)
            .was("running")
            .became("failed")
            .why("begun twice, and ended both times without an answer");
        journal::note(conn, entry, now)
    })
}

#[diesel::dsl::auto_type(no_type_alias)]
fn held(claim: &Claim) -> _ {
    let (id, worker): (i64, Uuid) = (claim.campaign.0, claim.worker);
    dry_runs::table.filter(dry_runs::campaign_id.eq(id)).filter(dry_runs::worker.eq(worker))
}

fn claim(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Option<Claim>> {
    locks::skip(Lock::DryRun);
    conn.transaction(|conn| {
        let waiting = dry_runs::table
            .filter(dry_runs::state.ne("done").and(dry_runs::state.ne("failed")))
            .filter(dry_runs::lease_ends_at.is_null().or(dry_runs::lease_ends_at.assume_not_null().le(now)))
            .order(dry_runs::asked_at)
            .select(dry_runs::campaign_id)
            .for_no_key_update()
            .skip_locked()
            .first::<i64>(conn)
            .optional()?;
        let Some(id) = waiting else { return Ok(None) };
        // It is checked as it is now, whatever it was when somebody asked.
        let campaign = store::find(conn, CampaignId(id))?;
        let (fingerprint, rows) = crate::drafting::audience::fingerprint_of(conn, &campaign)?;
        let worker = Uuid::new_v4();
        let tries = diesel::update(dry_runs::table.find(id))
            .set((
                dry_runs::tries.eq(dry_runs::tries + 1),
                dry_runs::state.eq("running"),
                dry_runs::fingerprint.eq(fingerprint),
                dry_runs::rows.eq(rows),
                dry_runs::rows_done.eq(0),
                dry_runs::worker.eq(worker),
                dry_runs::lease_ends_at.eq(now + LEASE),
            ))
            .returning(dry_runs::tries)
            .get_result(conn)?;
        Ok(Some(Claim { campaign: campaign.id, worker, tries }))
    })
}

/// Says how far it is. Returns whether the claim still holds.
fn pulse(conn: &mut PgConnection, claim: &Claim, rows_done: i64, now: DateTime<Utc>) -> QueryResult<bool> {
    diesel::update(held(claim))
        .set((dry_runs::rows_done.eq(rows_done), dry_runs::lease_ends_at.eq(now + LEASE)))
        .execute(conn)
        .map(|n| n == 1)
}

fn check(conn: &mut PgConnection, claim: &Claim, clock: &Clock) -> anyhow::Result<()> {
    let campaign = store::find(conn, claim.campaign)?;
    let mut plans = schedules::store::of_campaigns(conn, &[campaign.id])?;
    // Whom another schedule will not reach nobody knows yet.
    plans.retain(|it| it.plan.rules.after.is_none());
    let reader = Reader::new(conn, &campaign)?;
    let channels = channels::store::list(conn)?;
    let channel = |schedule: &Schedule| channels.iter().find(|it| it.id == schedule.plan.channel_id);
    let fields = reader.fields(conn)?;
    let mut texts = Vec::new();
    for it in &plans {
        let first =
            bots::store::first(conn, &it.plan.body, it.plan.bot, it.plan.template.as_ref(), &fields, campaign.zone)?;
        // A bot may say other things at other times of day: here, what it says as it starts.
        let starts = it.plan.first_window(campaign.zone, clock.now()).ok().flatten();
        texts.push((first, starts.map_or(clock.now(), |window| window.starts)));
    }
    let mut weighed: Vec<Weighed> = plans.iter().map(|it| Weighed::of(it, channel(it))).collect();
    let mut serving = Serving::new(campaign.group_by.as_deref().filter(|_| reader.has_columns()), &plans);
    let mut checked = Checked::default();
    if let Audience::File(file, _) = &reader.audience {
        (checked.duplicates, checked.not_taken) = (file.counts.duplicate, file.counts.bad);
    }

    let (mut after, mut done) = (0, 0);
    loop {
        let rows = reader.rows(conn, after, done)?;
        let Some(last) = rows.last() else { break };
        after = last.key;
        let contacts: Vec<ContactId> = rows.iter().map(|row| row.contact).collect();
        let barred = barred(conn, &contacts, clock.now())?;
        let grouped = serving.by.is_some();
        for row in &rows {
            let mine = serving.of(row);
            checked.no_group += i64::from(grouped && mine.is_empty());
            for n in mine {
                weighed[*n].add(row, barred.get(&row.contact).copied(), &texts[*n]);
            }
        }
        done += rows.len() as i64;
        if !pulse(conn, claim, done, clock.now())? {
            return Ok(());
        }
    }
    checked.schedules = weighed;
    diesel::update(held(claim))
        .set((
            dry_runs::state.eq("done"),
            dry_runs::tries.eq(0),
            dry_runs::rows_done.eq(done),
            dry_runs::result.eq(serde_json::to_value(&checked)?),
            dry_runs::done_at.eq(clock.now()),
            dry_runs::worker.eq(None::<Uuid>),
            dry_runs::lease_ends_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)?;
    Ok(())
}

/// Which schedules serve which contact.
struct Serving<'a> {
    by: Option<&'a str>,
    plans: &'a [Schedule],
    all: Vec<usize>,
    /// By value as it is spelt; what means the same is decided once for each spelling.
    known: HashMap<String, Vec<usize>>,
}

impl<'a> Serving<'a> {
    fn new(by: Option<&'a str>, plans: &'a [Schedule]) -> Self {
        Serving { by, plans, all: (0..plans.len()).collect(), known: HashMap::new() }
    }

    fn of(&mut self, row: &Row) -> &[usize] {
        let Some(by) = self.by else { return &self.all };
        let value = row.values.get(by).and_then(Value::as_str).unwrap_or_default();
        if !self.known.contains_key(value) {
            let serves = |plan: &Schedule| {
                plan.plan.group.as_ref().is_some_and(|group| crate::schedules::same_group(group, value))
            };
            let mine = self.plans.iter().enumerate().filter(|(_, plan)| serves(plan)).map(|(n, _)| n).collect();
            self.known.insert(value.to_owned(), mine);
        }
        &self.known[value]
    }
}

/// Reads the contacts of a campaign, batch by batch.
struct Reader {
    audience: Audience,
    lists: store::Lists,
}

impl Reader {
    fn new(conn: &mut PgConnection, campaign: &Campaign) -> QueryResult<Self> {
        let lists = store::lists(conn, campaign.id)?;
        Ok(Reader { audience: crate::drafting::audience::audience(conn, campaign, &lists)?, lists })
    }

    fn has_columns(&self) -> bool {
        matches!(self.audience, Audience::File(..))
    }

    /// What a text may name.
    fn fields(&self, conn: &mut PgConnection) -> QueryResult<Vec<String>> {
        match &self.audience {
            Audience::Nobody => Ok(Vec::new()),
            Audience::File(file, _) => deliveries::prepare::fields(conn, file.id),
            Audience::Lists { kind, .. } => {
                lists::store::audience_fields(conn, &self.lists.include, &self.lists.exclude, *kind, i64::MAX)
            }
        }
    }

    /// The next contacts after the one with this key, `done` of which came before.
    fn rows(&self, conn: &mut PgConnection, after: i64, done: i64) -> QueryResult<Vec<Row>> {
        match &self.audience {
            Audience::Nobody => Ok(Vec::new()),
            Audience::File(file, _) => rows_of_file(conn, file, after),
            Audience::Lists { kind, .. } => {
                let (include, exclude) = (&self.lists.include, &self.lists.exclude);
                let members = lists::store::audience_after(conn, include, exclude, *kind, after, BATCH)?;
                Ok((done + 1..)
                    .zip(members)
                    .map(|(n, it)| Row {
                        key: it.id,
                        n,
                        contact: ContactId(it.id),
                        address: it.address,
                        values: it.values,
                    })
                    .collect())
            }
        }
    }
}

fn rows_of_file(conn: &mut PgConnection, file: &File, after: i64) -> QueryResult<Vec<Row>> {
    #[derive(QueryableByName)]
    struct Stored {
        #[diesel(sql_type = Int4)]
        seq: i32,
        #[diesel(sql_type = Int8)]
        line: i64,
        #[diesel(sql_type = Int8)]
        contact_id: ContactId,
        #[diesel(sql_type = SqlText)]
        address: String,
        #[diesel(sql_type = Jsonb)]
        values: Value,
    }
    let rows: Vec<Stored> = diesel::sql_query(
        "SELECT seq, line, contact_id, address, \"values\" FROM file_rows
         WHERE file_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    )
    .bind::<Int8, _>(file.id)
    .bind::<Int8, _>(after)
    .bind::<Int8, _>(BATCH)
    .load(conn)?;
    let row = |it: Stored| Row {
        key: it.seq.into(),
        n: it.line,
        contact: it.contact_id,
        address: it.address,
        values: it.values,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Those of these contacts that would not be sent to, and why: as a claim asks it.
fn barred(
    conn: &mut PgConnection,
    contacts: &[ContactId],
    now: DateTime<Utc>,
) -> QueryResult<HashMap<ContactId, Outcome>> {
    #[derive(QueryableByName)]
    struct Barred {
        #[diesel(sql_type = Int8)]
        contact_id: ContactId,
        #[diesel(sql_type = Int2)]
        outcome: i16,
    }
    let rows: Vec<Barred> = diesel::sql_query(
        "SELECT contact_id, outcome FROM reach($2) WHERE contact_id = ANY ($1) AND outcome IS NOT NULL",
    )
    .bind::<Array<Int8>, _>(contacts)
    .bind::<Timestamptz, _>(now)
    .load(conn)?;
    Ok(rows.into_iter().filter_map(|row| Some((row.contact_id, Outcome::of_code(row.outcome)?))).collect())
}
