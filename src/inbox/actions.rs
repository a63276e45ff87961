//! What agents do with a conversation. Each function is one transaction: a second agent waits
//! for the first, and is then told what the first one did.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Map;

use super::store as inbox;
use crate::bots::turn::TurnState;
use crate::channels::{self, templates};
use crate::consent::store::{Change, Proof};
use crate::contacts::store::usual_fields;
use crate::conversations::store::{self, MessagePurpose, Saying};
use crate::conversations::{Conversation, Handler};
use crate::db::{Error, Reason};
use crate::ids::{ContactId, ConversationId, MessageId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::providers::Kind;
use crate::wording::{FilledTemplate, Template};
use crate::{blocklist, consent, contacts, media, people};

/// Characters of a reply, and of a label, at most.
pub const LONGEST_REPLY: usize = 4000;
pub const LONGEST_LABEL: usize = 40;
/// Labels of one conversation, at most.
pub const MOST_LABELS: usize = 20;

/// Why a conversation stayed as it was. The text is shown to the agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("The bot has this conversation. Take it over before you reply.")]
    WithBot,
    #[error("A human has this conversation already.")]
    TakenOver,
    #[error("{0} has taken this conversation over already.")]
    TakenOverBy(String),
    #[error("This conversation is closed. Re-open it first.")]
    Closed,
    #[error("This conversation is closed already.")]
    ClosedAlready,
    #[error("This conversation is open already.")]
    OpenAlready,
    #[error("Decide first whether they have opted out.")]
    Doubted,
    #[error("Somebody has decided this already.")]
    NotInDoubt,
    #[error("Bots answer this address already.")]
    NotSilent,
    #[error("{0} has replied meanwhile. Read it above, then send yours if it is still right.")]
    RepliedMeanwhile(String),
    #[error("They have opted out: nothing to them would leave.")]
    OptedOut,
    #[error("They are on the blocklist: nothing to them would leave.")]
    Blocked,
    #[error("Write something.")]
    Empty,
    #[error("At most {LONGEST_REPLY} characters.")]
    TooLong,
    #[error("There is no value for #{0}. Write it out, or give it a fallback: #{0}|…#")]
    Missing(String),
    #[error("#{0} is no field of this contact. Write ##{0} to send it as it stands.")]
    Unknown(String),
    #[error("This person cannot answer conversations.")]
    NotAnAgent,
    #[error("They wrote last more than {0} hours ago. Until they write again, no text of your own reaches them.")]
    OutsideWindow(i64),
    #[error("{0}")]
    Template(String),
    #[error("Write a label of at most {LONGEST_LABEL} characters.")]
    NoLabel,
    #[error("At most {MOST_LABELS} labels.")]
    TooManyLabels,
}

impl Reason for Refused {
    fn is_invalid(&self) -> bool {
        matches!(
            self,
            Refused::NoLabel
                | Refused::TooManyLabels
                | Refused::NotAnAgent
                | Refused::Empty
                | Refused::TooLong
                | Refused::Missing(_)
                | Refused::Unknown(_)
                | Refused::Template(_)
        )
    }
}

fn entry<'a>(it: &Conversation, happened: Happened, by: UserId) -> Entry<'a> {
    Entry::new(happened, it.id, by)
}

fn name(conn: &mut PgConnection, id: UserId) -> QueryResult<String> {
    people::store::find(conn, id).map(|user| user.name)
}

/// Fills in a text of an agent, or says what is missing in it.
fn fill_in(conn: &mut PgConnection, it: &Conversation, text: &str) -> Result<String, Error<Refused>> {
    if text.trim().is_empty() {
        return Err(Refused::Empty.into());
    }
    // With its fallbacks a text may be longer than what leaves, but not by so much.
    if text.len() > LONGEST_REPLY * 8 {
        return Err(Refused::TooLong.into());
    }
    let values = inbox::values(conn, it.contact)?;
    let mut text = text.trim().to_owned();
    if text.contains('#') {
        let mut fields: Vec<String> = values.keys().cloned().collect();
        fields.extend(usual_fields(conn)?.into_iter().filter(|field| !values.contains_key(field)));
        // What has a fallback is meant as a field, whatever it is called.
        let meant: HashSet<&str> = text.split('#').skip(1).filter_map(|rest| Some(rest.split_once('|')?.0)).collect();
        let unknown = Template::parse(&text, &fields).unknown().to_vec();
        fields.extend(unknown.into_iter().filter(|word| meant.contains(word.as_str())));
        let template = Template::parse(&text, &fields);
        if let Some(field) = template.unknown().first() {
            return Err(Refused::Unknown(field.clone()).into());
        }
        text = template.render(&values).map_err(|missing| Refused::Missing(missing.field))?;
    }
    if text.chars().count() > LONGEST_REPLY {
        return Err(Refused::TooLong.into());
    }
    Ok(text)
}

/// The text as it would leave; or as it was typed, and why it would not.
pub fn preview(
    conn: &mut PgConnection,
    it: &Conversation,
    text: &str,
) -> QueryResult<Result<String, (String, Refused)>> {
    match fill_in(conn, it, text) {
        Ok(text) => Ok(Ok(text)),
        Err(Error::Refused(refused)) => Ok(Err((text.to_owned(), refused))),
        Err(Error::Database(error)) => Err(error),
    }
}

/// What an agent sends.
pub enum AgentSays {
    /// As typed, with fields in it.
    Text(String),
    /// An approved text as it was filled in, with fields.
    Template(FilledTemplate),
}

/// Fills an approved text in, or says what is missing in it.
fn fill_template(
    conn: &mut PgConnection,
    it: &Conversation,
    filled: &FilledTemplate,
) -> Result<FilledTemplate, Error<Refused>> {
    let known = templates::of_channel(conn, it.channel)?;
    if let Some(why) = templates::refusal(&known, filled) {
        return Err(Refused::Template(why).into());
    }
    let mut said = filled.clone();
    for value in &mut said.values {
        value.text = fill_in(conn, it, &value.text)?;
    }
    // In one line, as providers want it.
    said.parse(&[]).render(&Map::new()).map_err(|missing| Refused::Missing(missing.field).into())
}

/// For how many hours after a contact wrote one may write to them freely, when that time is over.
pub fn closed_window(conn: &mut PgConnection, it: &Conversation, now: DateTime<Utc>) -> QueryResult<Option<i64>> {
    let channel = channels::store::find(conn, it.channel)?;
    let Some(window) = channel.provider.window(channel.kind) else { return Ok(None) };
    let heard = store::last_heard(conn, it.contact, it.channel)?;
    let is_open = heard.is_some_and(|at| now < at + window);
    Ok((!is_open).then(|| window.num_hours()))
}

/// Queues a reply, and takes the conversation if nobody has it. `seen`: the newest message that
/// the agent has seen; when another agent has replied after it, this one has to look first.
/// The same text sent twice is sent once.
pub fn reply(
    conn: &mut PgConnection,
    id: ConversationId,
    says: &AgentSays,
    seen: MessageId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<MessageId, Error<Refused>> {
    conn.transaction(|conn| {
        let mut it = store::lock(conn, id)?;
        if !it.is_open() {
            return Err(Refused::Closed.into());
        }
        if it.handler == Handler::Bot {
            return Err(Refused::WithBot.into());
        }
        let (text, template) = match says {
            AgentSays::Text(text) => (fill_in(conn, &it, text)?, None),
            AgentSays::Template(filled) => {
                let filled = fill_template(conn, &it, filled)?;
                (filled.words(), Some(filled))
            }
        };
        let since = inbox::since(conn, id, seen, &text, by)?;
        if let Some(message) = since.same {
            return Ok(message);
        }
        if let Some(other) = since.other {
            return Err(Refused::RepliedMeanwhile(other).into());
        }
        let contact = contacts::store::find(conn, it.contact, now)?;
        if contact.blocked {
            return Err(Refused::Blocked.into());
        }
        if contact.opted_out_at.is_some() {
            return Err(Refused::OptedOut.into());
        }
        if template.is_none()
            && let Some(hours) = closed_window(conn, &it, now)?
        {
            return Err(Refused::OutsideWindow(hours).into());
        }
        let saying = Saying {
            purpose: MessagePurpose::Agent,
            agent: Some(by),
            schedule: None,
            text: &text,
            choices: &[],
            step: None,
            unsaid: None,
            template: template.as_ref(),
        };
        let message = store::insert_saying(conn, &it, &saying, now)?;
        it.answered();
        it.last_at = now;
        it.assigned_to = it.assigned_to.or(Some(by));
        store::save(conn, &it)?;
        journal::note(conn, entry(&it, Happened::ConversationReplied, by), now)?;
        Ok(message)
    })
}

/// Takes a conversation from its bot, for good. What the bot has said and nobody has begun to
/// send is taken back, and it speaks no more by itself.
pub fn take_over(
    conn: &mut PgConnection,
    id: ConversationId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let mut it = store::lock(conn, id)?;
        if !it.is_open() {
            return Err(Refused::Closed.into());
        }
        if it.handler == Handler::Human {
            return Err(match it.assigned_to.filter(|user| *user != by) {
                Some(user) => Refused::TakenOverBy(name(conn, user)?).into(),
                None => Refused::TakenOver.into(),
            });
        }
        let n = store::take_back(conn, id, "an agent took over", now)?;
        from_bot(&mut it);
        if n > 0 {
            // The contact waits for what was taken back.
            it.wait_for_human(now);
        }
        it.assigned_to = it.assigned_to.or(Some(by));
        store::save(conn, &it)?;
        let entry = entry(&it, Happened::ConversationTakenOver, by).was("bot").became("human");
        journal::note(conn, entry, now)?;
        Ok(())
    })
}

fn from_bot(it: &mut Conversation) {
    it.hand_over();
    if let Some(memory) = it.memory.as_mut().filter(|memory| matches!(memory.state, TurnState::Waiting { .. })) {
        memory.state = TurnState::HandedOver;
    }
}

pub fn close(
    conn: &mut PgConnection,
    id: ConversationId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let mut it = store::lock(conn, id)?;
        if !it.is_open() {
            return Err(Refused::ClosedAlready.into());
        }
        if it.doubted {
            return Err(Refused::Doubted.into());
        }
        store::take_back(conn, id, "an agent closed the conversation", now)?;
        let because = format!("closed by {}", name(conn, by)?);
        it.close(&because, now);
        store::save(conn, &it)?;
        let entry = entry(&it, Happened::ConversationClosed, by).was("open").became("closed");
        journal::note(conn, entry, now)?;
        Ok(())
    })
}

/// Opens a conversation again, for humans.
pub fn reopen(
    conn: &mut PgConnection,
    id: ConversationId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let mut it = store::lock(conn, id)?;
        let Some((_, because)) = it.closed.clone() else { return Err(Refused::OpenAlready.into()) };
        it.reopen();
        from_bot(&mut it);
        store::save(conn, &it)?;
        let entry = entry(&it, Happened::ConversationReopened, by).was("closed").became("open").why(&because);
        journal::note(conn, entry, now)?;
        Ok(())
    })
}

/// Gives a conversation to somebody, or to nobody.
pub fn assign(
    conn: &mut PgConnection,
    id: ConversationId,
    to: Option<UserId>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let mut it = store::lock(conn, id)?;
        let agents = inbox::agents(conn)?;
        if to.is_some_and(|to| !agents.iter().any(|(id, _)| *id == to)) {
            return Err(Refused::NotAnAgent.into());
        }
        if it.assigned_to == to {
            return Ok(());
        }
        let was = it.assigned_to.map(|user| user.to_string());
        let became = to.map(|user| user.to_string());
        it.assigned_to = to;
        store::save(conn, &it)?;
        let entry =
            Entry { was: was.as_deref(), became: became.as_deref(), ..entry(&it, Happened::ConversationAssigned, by) };
        journal::note(conn, entry, now)?;
        Ok(())
    })
}

/// A label as it is kept.
fn tidy(label: &str) -> Result<String, Refused> {
    let label = label.split_whitespace().collect::<Vec<_>>().join(" ").replace('\0', "");
    if label.is_empty() || label.chars().count() > LONGEST_LABEL {
        return Err(Refused::NoLabel);
    }
    Ok(label)
}

/// Adds a label, unless it is there in whatever letters.
pub fn add_label(
    conn: &mut PgConnection,
    id: ConversationId,
    label: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    let label = tidy(label)?;
    conn.transaction(|conn| {
        let mut it = store::lock(conn, id)?;
        if it.labels.iter().any(|other| other.to_lowercase() == label.to_lowercase()) {
            return Ok(());
        }
        if it.labels.len() >= MOST_LABELS {
            return Err(Refused::TooManyLabels.into());
        }
        it.labels.push(label.clone());
        store::save(conn, &it)?;
        journal::note(conn, entry(&it, Happened::ConversationLabelled, by).became(&label), now)?;
        Ok(())
    })
}

pub fn remove_label(
    conn: &mut PgConnection,
    id: ConversationId,
    label: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let mut it = store::lock(conn, id)?;
        let n = it.labels.len();
        it.labels.retain(|other| other != label);
        if it.labels.len() == n {
            return Ok(());
        }
        store::save(conn, &it)?;
        journal::note(conn, entry(&it, Happened::ConversationUnlabelled, by).was(label), now)?;
        Ok(())
    })
}

/// Locks the contact of a conversation before the conversation, as taking in does.
fn lock_contact_first(conn: &mut PgConnection, id: ConversationId) -> QueryResult<Conversation> {
    let it = store::find(conn, id)?;
    store::lock_contacts(conn, &[it.contact])?;
    Ok(it)
}

/// Puts the contact on the blocklist for good, and closes the conversation. Returns whom.
pub fn block(
    conn: &mut PgConnection,
    id: ConversationId,
    why: Option<&str>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<ContactId, Error<Refused>> {
    conn.transaction(|conn| {
        lock_contact_first(conn, id)?;
        let mut it = store::lock(conn, id)?;
        let (kind, address): (Kind, String) = store::address(conn, it.contact)?;
        let block = blocklist::domain::Block { address, until: None, why: why.map(str::to_owned) };
        blocklist::actions::block(conn, kind, &[block], by, now)?;
        store::take_back(conn, id, "blocked", now)?;
        from_bot(&mut it);
        if it.is_open() {
            let because = format!("blocked by {}", name(conn, by)?);
            it.close(&because, now);
        }
        store::save(conn, &it)?;
        journal::note(conn, entry(&it, Happened::ConversationBlocked, by).why_if(why), now)?;
        Ok(it.contact)
    })
}

/// What somebody decided about words that sounded like an opt-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    OptedOut,
    /// They did not mean it.
    Kept,
}

/// Decides what a contact in doubt has meant, in all of their conversations, with the proof.
/// Those in which they have opted out are closed. Returns about whom.
pub fn decide(
    conn: &mut PgConnection,
    id: ConversationId,
    decision: Decision,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<ContactId, Error<Refused>> {
    conn.transaction(|conn| {
        let it = lock_contact_first(conn, id)?;
        let doubted = inbox::thread(conn, id, now)?;
        if !doubted.contact_doubted && !doubted.it.doubted {
            return Err(Refused::NotInDoubt.into());
        }
        let (words, message) = inbox::doubtful_words(conn, it.contact)?.unwrap_or_default();
        let proof = Proof {
            channel: Some(it.channel),
            how: "agent",
            words: words.as_deref(),
            message: message.as_deref(),
            answered: None,
            by: Some(by),
        };
        let change = match decision {
            Decision::OptedOut => Change::Out,
            Decision::Kept => Change::Kept,
        };
        consent::store::change(conn, it.contact, change, &proof, now)?;
        for mut it in inbox::lock_doubted(conn, it.contact, id)? {
            it.doubted = false;
            if decision == Decision::OptedOut {
                store::take_back(conn, it.id, "opted out", now)?;
                from_bot(&mut it);
                it.close("opted out", now);
            }
            store::save(conn, &it)?;
        }
        let happened = match decision {
            Decision::OptedOut => Happened::ConversationOptedOut,
            Decision::Kept => Happened::ConversationConsentKept,
        };
        journal::note(conn, entry(&it, happened, by).why_if(words.as_deref()), now)?;
        Ok(it.contact)
    })
}

/// Lets bots answer a contact again for whom they fell silent. Where nobody has answered since, the bot
/// goes on with the next message; where it had not begun, the conversation ends, and the next begins with it.
pub fn let_bots_answer(
    conn: &mut PgConnection,
    id: ConversationId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        lock_contact_first(conn, id)?;
        let mut it = store::lock(conn, id)?;
        if !store::forget_rounds(conn, it.contact, now)? {
            return Err(Refused::NotSilent.into());
        }
        let untouched = it.handler == Handler::Human && it.unanswered_since.is_some() && it.assigned_to.is_none();
        if it.is_open() && untouched && !it.doubted && it.fault.is_some() {
            it.go_on();
            match &it.memory {
                Some(_) => it.handler = Handler::Bot,
                None => it.close("bots answer again", now),
            }
            store::save(conn, &it)?;
        }
        journal::note(conn, entry(&it, Happened::ConversationBotsLetAnswer, by).was("silent").became("answer"), now)?;
        Ok(())
    })
}

/// Fetches once more what came with a message of this conversation and could not be fetched.
pub fn fetch_again(
    conn: &mut PgConnection,
    id: ConversationId,
    message: MessageId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let it = store::lock(conn, id)?;
        if store::conversation_of(conn, message)? != id {
            return Err(diesel::result::Error::NotFound.into());
        }
        if media::store::fetch_again(conn, message, now)? > 0 {
            journal::note(conn, Entry { subject: message.0, ..entry(&it, Happened::MediaAsked, by) }, now)?;
            store::touch(conn, &[id])?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_tidied() {
        assert_eq!(tidy("  to  call\tback "), Ok("to call back".to_owned()));
        assert_eq!(tidy(" \0 "), Err(Refused::NoLabel));
        assert_eq!(tidy(&"x".repeat(41)), Err(Refused::NoLabel));
    }
}
