//! Taking in, the bot's turn, and what agents do. Each function is one transaction.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::iter;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::result::Error::RollbackTransaction;
use serde_json::{Map, Value, json};

use super::domain::{Previous, RoutedTo, route};
use super::rounds::Rounds;
use super::store::{
    self, Governor, HeardMessage, KnownContact, MessagePurpose, NewConversation, NewMessage, Opening, Saying,
};
use super::{Began, Conversation, Handler};
use crate::blocklist::domain::Block;
use crate::bots::domain::Pinned;
use crate::bots::first::{First, begin, choices};
use crate::bots::steps::{StepId, Steps};
use crate::bots::turn::{Action, BotReply, Input, Memory, Turn, TurnState, turn};
use crate::campaigns::inbound::Validity;
use crate::channels;
use crate::consent::domain::Meaning;
use crate::consent::store::{Change, Proof};
use crate::ids::{CampaignId, ChannelId, ContactId, ConversationId, RunId, ScheduleId};
use crate::media::heard;
use crate::providers::{ConsentNews, Inbound, ProviderName, Setup};
use crate::{blocklist, bots, consent, media, runs, settings};

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenIn {
    New(ConversationId),
    /// It was told before.
    Repeated,
}

/// What a phone of the sandbox is told that would take back what was not said there.
const STAYS_OUT: &str = "This number did not opt out in the sandbox. A phone of the sandbox cannot take that back; people in the inbox can.";

/// Takes in one message of a contact: stores it once for ever, listens to words of
/// consent, finds its conversation, and lets the bot take its turn. Told again, it changes nothing.
pub fn take_in(
    conn: &mut PgConnection,
    channel: &Setup,
    inbound: &Inbound,
    now: DateTime<Utc>,
) -> QueryResult<TakenIn> {
    let taken = conn.transaction(|conn| {
        let contact = store::lock_contact(conn, channel.kind, &inbound.from, now)?;
        let on = ChannelId(channel.id);
        for opening in store::unopened(conn, ContactId(contact.id), on, now)? {
            open(conn, &[opening], &mut ReadSteps::default())?;
        }
        let rules = consent::store::rules(conn)?;
        let meaning = rules.meaning(&inbound.text, channel.id, contact.opted_out_at.is_some());
        let doubted =
            meaning.is_none() && contact.opted_out_at.is_none() && rules.suspects_stop(&inbound.text, channel.id);
        // A picture, a voice: no words for a bot.
        let is_wordless = inbound.text.trim().is_empty() && (!inbound.media.is_empty() || inbound.form.is_some());
        let hears_bot =
            meaning.is_none() && !doubted && !contact.blocked && contact.opted_out_at.is_none() && !is_wordless;
        let shown = with_media(inbound);

        let newest = store::lock_newest(conn, ContactId(contact.id), on)?;
        let home = match &newest {
            Some(Conversation { home: Some((_, schedule)), .. }) => Some(store::governor(conn, *schedule)?),
            _ => None,
        };
        let mut placed = place(conn, &contact, on, newest, home, hears_bot, now)?;
        let it = &mut placed.it;
        let heard =
            HeardMessage { text: &shown, at: inbound.at.map_or(now, |at| at.min(now)), provider_id: &inbound.id };
        it.last_at = now;
        if meaning.is_none() && !doubted && !contact.blocked {
            let played = match is_wordless {
                true => {
                    placed.it.wait_for_human(now);
                    Played::default()
                }
                false => hear(conn, &mut placed, &contact, &inbound.text, now)?,
            };
            let said = played.messages(&placed.it, now);
            write_heard(conn, &placed.it, heard, said)?;
            note_media(conn, on, inbound, now)?;
            played.settle(conn, &placed.it, now)?;
            store::save(conn, &placed.it)?;
            return Ok(placed.it.id);
        }
        write_heard(conn, it, heard, Vec::new())?;
        note_media(conn, on, inbound, now)?;

        let proof = Proof {
            channel: Some(on),
            how: "keyword",
            words: Some(&inbound.text),
            message: Some(&inbound.id),
            answered: None,
            by: inbound.by,
        };
        match meaning {
            Some((meaning, language)) => {
                let is_out = contact.opted_out_at.is_some();
                // A phone of the sandbox is anybody's who may write on it.
                let stays_out = meaning == Meaning::Start
                    && is_out
                    && channel.provider == ProviderName::Sandbox
                    && consent::store::is_out_elsewhere(conn, ContactId(contact.id))?;
                let change = match meaning {
                    Meaning::Stop => Some(Change::Out),
                    Meaning::Start if stays_out => None,
                    Meaning::Start => Some(Change::In),
                    Meaning::Help => None,
                };
                // An opt-out is confirmed once, and not where the provider does it.
                let silent =
                    contact.blocked || (meaning == Meaning::Stop && (is_out || rules.silent_on.contains(&channel.id)));
                let answer = if stays_out { STAYS_OUT } else { language.answer(meaning) };
                let answer = Some(answer).filter(|text| !silent && !text.trim().is_empty());
                if let Some(change) = change {
                    let proof = Proof { answered: answer, ..proof };
                    consent::store::change(conn, ContactId(contact.id), change, &proof, now)?;
                }
                if let Some(text) = answer {
                    notify(conn, it, text, now)?;
                }
                match meaning {
                    Meaning::Stop => {
                        store::take_back(conn, it.id, "opted out", now)?;
                        it.hand_over();
                        it.doubted = false;
                        it.close("opted out", now);
                    }
                    Meaning::Start | Meaning::Help if placed.is_new || placed.reopened => it.close(meaning.word(), now),
                    Meaning::Start | Meaning::Help => {}
                }
            }
            None if doubted => {
                let proof = Proof { how: "words", ..proof };
                consent::store::change(conn, ContactId(contact.id), Change::Doubted, &proof, now)?;
                store::take_back(conn, it.id, "consent in doubt", now)?;
                it.doubted = true;
                it.wait_for_human(now);
            }
            None => {
                it.hand_over();
                it.close("blocked", now);
            }
        }
        store::save(conn, &placed.it)?;
        Ok(placed.it.id)
    });
    match taken {
        Ok(id) => Ok(TakenIn::New(id)),
        Err(RollbackTransaction) => Ok(TakenIn::Repeated),
        Err(error) => Err(error),
    }
}

fn spoken(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What came, in words: of a file what it is.
fn with_media(inbound: &Inbound) -> String {
    let mut shown = inbound.text.clone();
    let form = inbound.form.iter().map(|it| match it.as_object() {
        Some(fields) => {
            fields.iter().map(|(name, value)| format!("{name}: {}", spoken(value))).collect::<Vec<_>>().join(", ")
        }
        None => spoken(it),
    });
    let media = inbound.media.iter().map(heard::line);
    for it in form.map(|it| format!("form: {it}")).chain(media) {
        let gap = if shown.is_empty() { "" } else { "\n" };
        shown.push_str(&format!("{gap}[{it}]"));
    }
    shown
}

/// Takes in that somebody wants no more, or wants again, as their provider says. Returns whether it was news.
pub fn take_in_consent(
    conn: &mut PgConnection,
    channel: &Setup,
    news: &ConsentNews,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    conn.transaction(|conn| {
        let contact = store::lock_contact(conn, channel.kind, &news.from, now)?;
        let is_out = contact.opted_out_at.is_some();
        if is_out != news.wants {
            return Ok(false);
        }
        let on = ChannelId(channel.id);
        let (how, message) = ("provider", news.id.as_deref());
        let proof = Proof { channel: Some(on), how, words: None, message, answered: None, by: None };
        let change = if news.wants { Change::In } else { Change::Out };
        consent::store::change(conn, ContactId(contact.id), change, &proof, now)?;
        if let (false, Some(mut it)) = (news.wants, store::lock_newest(conn, ContactId(contact.id), on)?) {
            store::take_back(conn, it.id, "opted out", now)?;
            if it.is_open() {
                it.hand_over();
                it.doubted = false;
                it.close("opted out", now);
                store::save(conn, &it)?;
            }
        }
        Ok(true)
    })
}

/// Writes what a contact wrote, and what is said to it. What was told before takes back everything that it
/// would do a second time.
fn write_heard(
    conn: &mut PgConnection,
    it: &Conversation,
    heard: HeardMessage<'_>,
    said: Vec<NewMessage<'_>>,
) -> QueryResult<()> {
    let messages: Vec<NewMessage<'_>> = iter::once(NewMessage::heard(it, heard)).chain(said).collect();
    if store::insert_messages(conn, &messages)? < messages.len() {
        return Err(RollbackTransaction);
    }
    Ok(())
}

/// Notes the files of a message that was just written: they are fetched, and stand in it.
fn note_media(conn: &mut PgConnection, on: ChannelId, inbound: &Inbound, now: DateTime<Utc>) -> QueryResult<()> {
    if inbound.media.is_empty() {
        return Ok(());
    }
    match store::id_of_heard(conn, on, &inbound.id)? {
        Some(message) => media::store::note_heard(conn, on, message, &inbound.media, now),
        None => Ok(()),
    }
}

/// The conversation that a message belongs to.
struct Placed {
    it: Conversation,
    home: Option<Governor>,
    /// It began with this message.
    is_new: bool,
    /// This message opened it again.
    reopened: bool,
}

/// Finds or begins the conversation of a message. `bots`: whether a new one may meet a bot.
fn place(
    conn: &mut PgConnection,
    contact: &KnownContact,
    channel: ChannelId,
    newest: Option<Conversation>,
    home: Option<Governor>,
    bots: bool,
    now: DateTime<Utc>,
) -> QueryResult<Placed> {
    let previous = newest.as_ref().map(|it| {
        let validity = home.as_ref().map_or(Validity::DEFAULT, |home| home.campaign.validity);
        Previous { open: it.is_open(), valid: validity.holds(it.last_at, now), began: it.began }
    });
    // Where it goes on nobody asks whom else it could meet.
    let current = match route(previous, false) {
        RoutedTo::GoesOn | RoutedTo::Original => None,
        RoutedTo::Reopens | RoutedTo::Inbound | RoutedTo::Unassigned => channels::store::met_by(conn, channel)?,
    };
    let contact = ContactId(contact.id);
    let new = |conn: &mut PgConnection, home: Option<Governor>, began, bot| {
        let place = home.as_ref().map(|home| (home.campaign.id, home.schedule.id));
        let new = NewConversation { channel, contact, home: place, began, delivery: None, bot, at: now };
        let mut written = [(new.clone(), new.empty())];
        store::insert(conn, &mut written)?;
        let [(_, it)] = written;
        Ok(Placed { it, home, is_new: true, reopened: false })
    };
    match (route(previous, current.is_some()), newest) {
        (RoutedTo::GoesOn, Some(it)) => Ok(Placed { it, home, is_new: false, reopened: false }),
        (RoutedTo::Reopens, Some(mut it)) => {
            it.reopen();
            Ok(Placed { it, home, is_new: false, reopened: true })
        }
        (RoutedTo::Original, Some(mut old)) => {
            let (bot, began) = (old.bot, old.began);
            leave(conn, &mut old, "its validity was over", now)?;
            new(conn, home, began, bot)
        }
        (RoutedTo::Inbound | RoutedTo::Unassigned, old) => {
            if let Some(mut old) = old.filter(Conversation::is_open) {
                leave(conn, &mut old, "its validity was over", now)?;
            }
            // Words of consent begin nothing with a campaign.
            let home = match current.filter(|_| bots) {
                Some(schedule) => Some(store::governor(conn, schedule)?),
                None => None,
            };
            let bot = home.as_ref().and_then(|home| home.schedule.plan.bot);
            new(conn, home, Began::Inbound, bot)
        }
        // Routes of a previous conversation, and there is none.
        (RoutedTo::GoesOn | RoutedTo::Reopens | RoutedTo::Original, None) => new(conn, None, Began::Inbound, None),
    }
}

/// Closes a conversation that another one takes over from, unless humans have it.
fn leave(conn: &mut PgConnection, it: &mut Conversation, because: &str, now: DateTime<Utc>) -> QueryResult<()> {
    if it.handler == Handler::Human && it.unanswered_since.is_some() {
        return Ok(());
    }
    it.close(because, now);
    store::save(conn, it)
}

/// Lets the bot hear what was written, or tells the humans. Returns what is to be said.
fn hear(
    conn: &mut PgConnection,
    placed: &mut Placed,
    contact: &KnownContact,
    text: &str,
    now: DateTime<Utc>,
) -> QueryResult<Played> {
    let Placed { it, home, is_new, .. } = placed;
    let (Some(home), Some(bot)) = (home.as_ref(), it.bot) else {
        it.wait_for_human(now);
        return Ok(Played::default());
    };
    if home.is_stopped() {
        it.fault = Some("Its campaign was stopped.".to_owned());
        it.wait_for_human(now);
        return Ok(Played::default());
    }
    if contact.opted_out_at.is_some() || contact.doubted_at.is_some() {
        it.wait_for_human(now);
        return Ok(Played::default());
    }
    let whose = ContactId(contact.id);
    let rounds = store::rounds(conn, whose)?.unwrap_or_else(|| Rounds::none(now));
    if rounds.is_silent(now) {
        store::save_rounds(conn, whose, &rounds.still_silent(now))?;
        it.wait_for_human(now);
        return Ok(Played::default());
    }
    if !*is_new && it.handler == Handler::Human {
        if !rounds.goes_on_in(it, now) {
            it.wait_for_human(now);
            return Ok(Played::default());
        }
        it.go_on();
    }
    if let Some(why) = rounds.too_many(text, now) {
        store::save_rounds(conn, whose, &rounds.silent(it.id, now))?;
        it.fall_silent(&why.to_string(), now);
        return Ok(Played::default());
    }
    let memory = match it.memory.take() {
        Some(memory) => memory,
        None => {
            if let Some(plan) = home.campaign.inbound.as_ref().filter(|plan| !plan.is_open(home.campaign.zone, now)) {
                it.wait_for_human(now);
                let says = Some(plan.out_of_hours.clone()).filter(|text| !text.trim().is_empty());
                let line = |text| Line::of_house(MessagePurpose::Answer, home.schedule.id, text);
                return Ok(Played { lines: says.map(line).into_iter().collect(), ..Played::default() });
            }
            Memory { values: object(&contact.values), ..Memory::default() }
        }
    };
    let steps = bots::store::find_version(conn, bot.bot, bot.version)?.steps;
    let taken = turn(&steps, memory, Input::Said(text.to_owned()), now, home.campaign.zone);
    let played = play(it, &steps, taken, How { home, purpose: MessagePurpose::Answer, before: 0 }, now);
    if !played.lines.is_empty() {
        let said = played.lines.iter().map(|line| line.text.as_str());
        store::save_rounds(conn, whose, &rounds.answered(text, said, now))?;
    }
    Ok(played)
}

fn object(values: &Value) -> Map<String, Value> {
    values.as_object().cloned().unwrap_or_default()
}

/// Queues a notice of the house.
fn notify(conn: &mut PgConnection, it: &Conversation, text: &str, now: DateTime<Utc>) -> QueryResult<()> {
    let purpose = MessagePurpose::Notice;
    let saying =
        Saying { purpose, agent: None, schedule: None, text, choices: &[], step: None, unsaid: None, template: None };
    store::insert_messages(conn, &[NewMessage::saying(it, &saying, now)]).map(drop)
}

/// How a turn of a bot is said.
struct How<'a> {
    home: &'a Governor,
    purpose: MessagePurpose,
    /// Replies that were said before: the first message of a campaign.
    before: usize,
}

/// What follows from a bot's turn, beside what it makes of its conversation.
#[derive(Default)]
struct Played {
    lines: Vec<Line>,
    /// Values that the contact gave.
    kept: Map<String, Value>,
    blocks: bool,
}

/// Something to say.
struct Line {
    purpose: MessagePurpose,
    schedule: ScheduleId,
    text: String,
    choices: Vec<String>,
    /// `None`: the house says it.
    step: Option<StepId>,
    unsaid: Option<String>,
}

impl Line {
    fn of_house(purpose: MessagePurpose, schedule: ScheduleId, text: String) -> Line {
        Line { purpose, schedule, text, choices: Vec::new(), step: None, unsaid: None }
    }

    fn saying(&self) -> Saying<'_> {
        Saying {
            purpose: self.purpose,
            agent: None,
            schedule: Some(self.schedule),
            text: &self.text,
            choices: &self.choices,
            step: self.step.as_ref().map(|step| step.0.as_str()),
            unsaid: self.unsaid.as_deref(),
            template: None,
        }
    }
}

/// What a bot's turn makes of a conversation.
fn play(it: &mut Conversation, steps: &Steps, taken: Turn, how: How<'_>, now: DateTime<Utc>) -> Played {
    let mut played = Played::default();
    let (schedule, blocks) = (how.home.schedule.id, taken.memory.state == TurnState::Blocked);
    // The last words before a block leave all the same.
    let purpose = if blocks { MessagePurpose::Notice } else { how.purpose };
    for reply in taken.replies.into_iter().skip(how.before) {
        let (step, text, unsaid) = match reply {
            BotReply::Text { step, text } => (step, text, None),
            BotReply::Missing { step, field } => {
                let raw = steps.get(&step).and_then(|step| step.act.text()).unwrap_or_default().to_owned();
                (step, raw, Some(format!("#{field} is missing")))
            }
        };
        let choices = choices(steps, &step);
        played.lines.push(Line { purpose, schedule, text, choices, step: Some(step), unsaid });
        it.last_at = now;
    }
    for action in taken.did {
        match action {
            Action::SetField { field, value } => {
                played.kept.insert(field, json!(value));
            }
            Action::Label(label) => {
                if !it.labels.contains(&label) {
                    it.labels.push(label);
                }
            }
            Action::HandOver => it.wait_for_human(now),
            Action::Block => {
                played.blocks = true;
                it.close("blocked by the bot", now);
            }
            Action::Close => it.close("ended by the bot", now),
        }
    }
    match &taken.memory.state {
        TurnState::Waiting { .. } => {
            it.handler = Handler::Bot;
            it.wake_at = taken.wake;
        }
        TurnState::Parked { fault } => {
            it.fault = Some(fault.to_string());
            it.wait_for_human(now);
            let fallback = how.home.campaign.inbound.as_ref().map_or("", |plan| plan.fallback.trim());
            if !fallback.is_empty() {
                played.lines.push(Line::of_house(purpose, schedule, fallback.to_owned()));
            }
        }
        TurnState::New | TurnState::HandedOver | TurnState::Blocked | TurnState::Closed => it.wake_at = None,
    }
    it.memory = Some(taken.memory);
    played
}

impl Played {
    /// What is said, for the outbox.
    fn messages(&self, it: &Conversation, now: DateTime<Utc>) -> Vec<NewMessage<'_>> {
        self.lines.iter().map(|line| NewMessage::saying(it, &line.saying(), now)).collect()
    }

    /// What it means for the contact.
    fn settle(&self, conn: &mut PgConnection, it: &Conversation, now: DateTime<Utc>) -> QueryResult<()> {
        if !self.kept.is_empty() {
            store::keep_values(conn, it.contact, &Value::Object(self.kept.clone()))?;
        }
        if self.blocks {
            let (kind, address) = store::address(conn, it.contact)?;
            let block = Block { address, until: None, why: Some("a bot blocked them".to_owned()) };
            blocklist::store::put(conn, kind, &[block], None, now)?;
        }
        Ok(())
    }
}

// ---- conversations that campaigns begin --------------------------------------------

/// Steps, and approved texts of runs, that were read already.
#[derive(Default)]
struct ReadSteps(HashMap<Pinned, Arc<Steps>>, HashMap<RunId, Arc<First>>);

impl ReadSteps {
    /// What an approved text said to a contact of whom this was known, and the answers that it offered.
    fn approved(
        &mut self,
        conn: &mut PgConnection,
        opening: &Opening,
        zone: Tz,
    ) -> QueryResult<Option<(String, Vec<String>)>> {
        if !opening.approved {
            return Ok(None);
        }
        let first = match self.1.get(&opening.run_id) {
            Some(first) => first.clone(),
            None => {
                let run = runs::store::find(conn, opening.run_id)?;
                let template = run.template.as_ref();
                let first = bots::store::first(conn, &run.body, run.bot, template, &run.fields, zone)?;
                let first = Arc::new(first);
                self.1.insert(opening.run_id, first.clone());
                first
            }
        };
        let said = first.render(&object(&opening.values), opening.at).ok();
        Ok(said.map(|content| {
            let (words, choices) = content.words();
            (words.to_owned(), choices.to_vec())
        }))
    }

    fn of(&mut self, conn: &mut PgConnection, bot: Pinned) -> QueryResult<Arc<Steps>> {
        if let Some(steps) = self.0.get(&bot) {
            return Ok(steps.clone());
        }
        let steps = Arc::new(bots::store::find_version(conn, bot.bot, bot.version)?.steps);
        self.0.insert(bot, steps.clone());
        Ok(steps)
    }
}

/// Writes down the conversations of up to `n` deliveries whose first message a provider
/// has taken. Returns how many it looked at: none are left when that is 0.
pub fn open_next(conn: &mut PgConnection, n: i64) -> QueryResult<usize> {
    conn.transaction(|conn| {
        let openings = store::openings(conn, n)?;
        if openings.is_empty() {
            return Ok(0);
        }
        let contacts: Vec<ContactId> = openings.iter().map(|it| it.contact_id).collect();
        store::lock_contacts(conn, &contacts)?;
        open(conn, &openings, &mut ReadSteps::default())?;
        Ok(openings.len())
    })
}

/// Writes down conversations that have begun, unless they are. Their contacts are locked.
fn open(conn: &mut PgConnection, openings: &[Opening], read: &mut ReadSteps) -> QueryResult<()> {
    let done = store::opened(conn, openings)?;
    let mut fresh: Vec<&Opening> = openings.iter().filter(|it| !done.contains(&(it.run_id, it.seq))).collect();
    while !fresh.is_empty() {
        // One of each contact at a time: the second takes over from the first.
        let mut seen = HashSet::new();
        let (now, later): (Vec<&Opening>, Vec<&Opening>) =
            fresh.into_iter().partition(|it| seen.insert((it.contact_id, it.channel_id)));
        open_together(conn, &now, read)?;
        fresh = later;
    }
    store::strike_openings(conn, openings)
}

/// Writes down conversations of different contacts, with three statements however many they are.
fn open_together(conn: &mut PgConnection, openings: &[&Opening], read: &mut ReadSteps) -> QueryResult<()> {
    let channels: BTreeSet<ChannelId> = openings.iter().map(|it| it.channel_id).collect();
    for channel in channels {
        let on: Vec<&&Opening> = openings.iter().filter(|it| it.channel_id == channel).collect();
        let contacts: Vec<ContactId> = on.iter().map(|it| it.contact_id).collect();
        for mut old in store::lock_open_of_bots(conn, &contacts, channel)? {
            let at = on.iter().find(|it| it.contact_id == old.contact).map_or(old.last_at, |it| it.at);
            store::take_back(conn, old.id, "another campaign wrote", at)?;
            old.close("another campaign wrote", at);
            store::save(conn, &old)?;
        }
    }
    let mut governors: HashMap<ScheduleId, Governor> = HashMap::new();
    let (mut begun, mut said) = (Vec::new(), Vec::new());
    for opening in openings {
        let bot = Pinned { bot: opening.bot_id, version: opening.bot_version };
        let steps = read.of(conn, bot)?;
        let home = match governors.entry(opening.schedule_id) {
            Entry::Occupied(home) => home.into_mut(),
            Entry::Vacant(place) => {
                let schedule = opening.schedule_id;
                place.insert(store::governor(conn, schedule)?)
            }
        };
        let new = NewConversation {
            channel: opening.channel_id,
            contact: opening.contact_id,
            home: Some((home.campaign.id, home.schedule.id)),
            began: Began::Outbound,
            delivery: Some((opening.run_id, opening.seq)),
            bot: Some(bot),
            at: opening.at,
        };
        let taken = begin(&steps, &object(&opening.values), opening.at, home.campaign.zone);
        let first = match taken.replies.first() {
            Some(BotReply::Text { step, text }) => {
                let said = read.approved(conn, opening, home.campaign.zone)?;
                let (text, choices) = said.unwrap_or_else(|| (text.clone(), choices(&steps, step)));
                Some((step.clone(), text, choices))
            }
            Some(BotReply::Missing { .. }) | None => None,
        };
        let mut it = new.empty();
        let how = How { home, purpose: MessagePurpose::Answer, before: 1 };
        said.push((first, play(&mut it, &steps, taken, how, opening.at)));
        begun.push((new, it));
    }
    store::insert(conn, &mut begun)?;
    let mut messages = Vec::new();
    for ((new, it), (first, played)) in begun.iter().zip(&said) {
        if let (Some((step, text, choices)), Some(delivery)) = (first, new.delivery) {
            messages.push(NewMessage::first(it, delivery, text, &step.0, choices, new.at));
        }
        messages.extend(played.messages(it, new.at));
    }
    store::insert_messages(conn, &messages)?;
    for ((new, it), (_, played)) in begun.iter().zip(&said) {
        played.settle(conn, it, new.at)?;
    }
    Ok(())
}

// ---- bots that speak up by themselves ------------------------------------------------

/// Conversations woken in one transaction.
const WOKEN_AT_ONCE: i64 = 200;

/// Lets bots speak up whose contacts did not reply, schedule by schedule, no faster than its
/// rate and not in its quiet hours. Returns how many; 0 when none is due or may.
pub fn wake_next(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<usize> {
    let due = store::due_to_wake(conn, now)?;
    if due.is_empty() {
        return Ok(0);
    }
    let campaigns: Vec<CampaignId> = due.iter().map(|it| it.campaign_id).collect();
    let calendars = settings::calendars::of_campaigns(conn, &campaigns)?;
    let mut n = 0;
    for it in due {
        let schedule = it.schedule_id;
        let soon = now + TimeDelta::seconds(1);
        let closed = calendars
            .get(&it.campaign_id)
            .is_some_and(|calendar| calendar.closed(it.schedule_id.0, now, soon).is_closed(now));
        if !closed {
            n += conn.transaction(|conn| wake(conn, schedule, it.rate, now))?;
        }
    }
    Ok(n)
}

fn wake(conn: &mut PgConnection, schedule: ScheduleId, rate: Option<f64>, now: DateTime<Utc>) -> QueryResult<usize> {
    let home = store::governor(conn, schedule)?;
    if home.is_stopped() || home.is_paused() {
        return Ok(0);
    }
    let most = match rate {
        None => WOKEN_AT_ONCE,
        // A rate of less than one a minute is one in several minutes.
        Some(rate) => {
            let minutes = (1.0 / rate.max(1e-6)).max(1.0);
            let stretch = TimeDelta::microseconds((minutes * 60e6) as i64);
            let left = (rate * minutes).ceil() as i64 - store::spoke_up_since(conn, schedule, now - stretch)?;
            let a_second = (rate / 60.0).ceil() as i64
                - store::spoke_up_since(conn, schedule, now - TimeDelta::milliseconds(999))?;
            left.min(a_second).clamp(0, WOKEN_AT_ONCE)
        }
    };
    let mut read = ReadSteps::default();
    let due = if most > 0 { store::lock_due(conn, schedule, most, now)? } else { Vec::new() };
    let n = due.len();
    for mut it in due {
        if store::first_failed(conn, it.id)? {
            it.close("its first message did not arrive", now);
            store::save(conn, &it)?;
            continue;
        }
        let (Some(bot), Some(memory)) = (it.bot, it.memory.take()) else { continue };
        let steps = read.of(conn, bot)?;
        let taken = turn(&steps, memory, Input::Woke, now, home.campaign.zone);
        let played =
            play(&mut it, &steps, taken, How { home: &home, purpose: MessagePurpose::Reengager, before: 0 }, now);
        store::insert_messages(conn, &played.messages(&it, now))?;
        played.settle(conn, &it, now)?;
        store::save(conn, &it)?;
    }
    Ok(n)
}
