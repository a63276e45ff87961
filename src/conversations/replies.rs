//! actions: How replies leave: claim, settle, take in receipts, give up. Each function is one transaction.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Int2, Int8, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};

use super::store::{self, Governor};
use crate::channels::look_ups::{self, UnansweredSend};
use crate::channels::room::{self, Room, channel_room};
use crate::consent;
use crate::consent::store::Learnt;
use crate::db::Prepared;
use crate::db::locks::{self, Lock};
use crate::db::schema::{channels, contacts, conversations, messages, schedules};
use crate::deliveries::claim::Claimer;
use crate::deliveries::{Fate, LEASE, LOST, Outcome, Word, merge};
use crate::ids::{CampaignId, ChannelId, ContactId, ConversationId, MessageId, ScheduleId};
use crate::providers::key::MessageKey;
use crate::providers::{InDoubt, ProviderName, Receipt};
use crate::wording::Content;

/// A claimed message of ours.
#[derive(Clone, Debug)]
pub struct Reply {
    pub id: MessageId,
    /// 1 for the first try.
    pub attempt: i16,
    pub address: String,
    pub content: Content,
    /// Why it must not be sent, if so.
    pub barred: Option<Outcome>,
    /// How often the provider has said "later" about it.
    pub refusals: i16,
    /// It does not begin before this instant, so that the limit of its channel holds.
    pub begins_at: Option<DateTime<Utc>>,
    /// Whether consent was asked for after the claim had committed. Where it was not, it may not begin.
    pub seen: bool,
}

/// What became of a reply.
#[derive(Clone, Debug)]
pub struct SettledReply {
    pub id: MessageId,
    pub attempt: i16,
    pub fate: Fate,
}

/// Channels with something to send now.
pub fn channels_with_replies(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Vec<ChannelId>> {
    let waits = messages::table
        .filter(messages::channel_id.eq(channels::id))
        .filter(messages::state.eq("queued"))
        .filter(messages::due_at.le(now));
    let ids: Vec<i64> =
        channels::table.filter(diesel::dsl::exists(waits)).order(channels::id).select(channels::id).load(conn)?;
    Ok(ids.into_iter().map(ChannelId).collect())
}

#[derive(QueryableByName)]
struct Picked {
    #[diesel(sql_type = Int8)]
    id: i64,
    #[diesel(sql_type = Nullable<Int8>)]
    schedule_id: Option<ScheduleId>,
    #[diesel(sql_type = Text)]
    purpose: String,
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Int8)]
    id: i64,
    #[diesel(sql_type = Int2)]
    attempt: i16,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Text)]
    body: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    choices: Option<serde_json::Value>,
    #[diesel(sql_type = Int2)]
    refusals: i16,
    #[diesel(sql_type = Nullable<Jsonb>)]
    template: Option<serde_json::Value>,
}

/// Claims up to `most` replies of a channel. What governs them stays locked until the
/// claim has committed: a pause or a stop comes before it, and is felt, or after it, and waits.
/// Consent is asked for after that, and so are blocks.
pub fn claim(conn: &mut PgConnection, channel: ChannelId, most: i64, by: Claimer) -> QueryResult<Vec<Reply>> {
    let mut replies = conn.transaction(|conn| {
        locks::skip(Lock::Queued);
        let pick = diesel::sql_query(include_str!("claim.sql"))
            .bind::<Int8, _>(channel)
            .bind::<Int8, _>(most)
            .bind::<Timestamptz, _>(by.now);
        let picked: Vec<Picked> = Prepared(pick).load(conn)?;
        let governors = governors(conn, picked.iter().filter_map(|it| it.schedule_id))?;
        let may_leave = |it: &&Picked| match it.schedule_id.and_then(|schedule| governors.get(&schedule)) {
            None => true,
            Some(home) => !(home.is_stopped() || home.is_paused() && it.purpose == "reengager"),
        };
        let mut ids: Vec<i64> = picked.iter().filter(may_leave).map(|it| it.id).collect();
        // The channel last, as everybody does who locks it.
        let share = match channel_room(conn, channel, by.now)? {
            Room::Held => return Ok(Vec::new()),
            Room::Unlimited => None,
            Room::Limited(share) => {
                ids.truncate(share.sends as usize);
                Some(share)
            }
        };
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let n = ids.len() as i64;
        let take = diesel::sql_query(include_str!("take.sql"))
            .bind::<Array<Int8>, _>(ids)
            .bind::<SqlUuid, _>(by.process)
            .bind::<Timestamptz, _>(by.now + LEASE)
            .bind::<Timestamptz, _>(by.now);
        let taken: Vec<Taken> = Prepared(take).load(conn)?;
        if let Some(share) = share {
            room::take(conn, channel, share.before, &[room::Taking { lease: None, sends: n }], by.now)?;
        }
        let begins_at = share.and_then(|share| share.wait(n));
        let replies: Vec<Reply> = taken
            .into_iter()
            .map(|row| Reply {
                id: MessageId(row.id),
                attempt: row.attempt,
                address: row.address,
                content: match row.template.and_then(|it| serde_json::from_value(it).ok()) {
                    Some(filled) => Content::Template { filled, words: row.body },
                    None => Content::said(
                        row.body,
                        row.choices.and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default(),
                    ),
                },
                barred: None,
                seen: false,
                refusals: row.refusals,
                begins_at,
            })
            .collect();
        QueryResult::Ok(replies)
    })?;
    if let Err(error) = last_look(conn, &mut replies, by.now) {
        tracing::error!(channel.id = %channel, "claimed replies of channel {channel}, and cannot ask for consent: {error}");
    }
    Ok(replies)
}

/// Asks, now that their claim has committed, which replies must not leave, and notes why.
fn last_look(conn: &mut PgConnection, replies: &mut [Reply], now: DateTime<Utc>) -> QueryResult<()> {
    #[derive(QueryableByName)]
    struct Barred {
        #[diesel(sql_type = Int8)]
        id: i64,
        #[diesel(sql_type = Int2)]
        barred: i16,
    }
    if replies.is_empty() {
        return Ok(());
    }
    let ids: Vec<MessageId> = replies.iter().map(|reply| reply.id).collect();
    let look = diesel::sql_query(include_str!("last_look.sql")).bind::<Array<Int8>, _>(ids).bind::<Timestamptz, _>(now);
    let rows: Vec<Barred> = Prepared(look).load(conn)?;
    let barred: HashMap<i64, i16> = rows.into_iter().map(|row| (row.id, row.barred)).collect();
    for reply in replies {
        reply.barred = barred.get(&reply.id.0).and_then(|code| Outcome::of_code(*code));
        reply.seen = true;
    }
    Ok(())
}

/// What governs these schedules' messages, locked against change, in one order.
fn governors(
    conn: &mut PgConnection,
    ids: impl Iterator<Item = ScheduleId>,
) -> QueryResult<HashMap<ScheduleId, Governor>> {
    let ids: BTreeSet<ScheduleId> = ids.collect();
    let mut of: Vec<(CampaignId, ScheduleId)> = schedules::table
        .filter(schedules::id.eq_any(&ids))
        .select((schedules::campaign_id, schedules::id))
        .load(conn)?;
    of.sort_unstable();
    of.into_iter().map(|(_, schedule)| Ok((schedule, store::governor(conn, schedule)?))).collect()
}

/// Writes what became of replies whose claim still holds. A result that comes after it
/// was given up is true all the same, and resolves what was unconfirmed.
pub fn settle(conn: &mut PgConnection, results: &[SettledReply], now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let mut results: Vec<&SettledReply> = results.iter().collect();
        results.sort_by_key(|it| it.id);
        let ids: Vec<MessageId> = results.iter().map(|it| it.id).collect();
        // Contacts are locked before their conversations.
        let out = results.iter().filter(|it| it.fate.is_news_of_an_opt_out()).map(|it| it.id).collect();
        let contacts = contacts_of(conn, out)?;
        store::lock_contacts(conn, &contacts)?;
        touch(conn, &ids)?;
        let mut opted_out = Vec::new();
        for it in results {
            let mine = messages::table.find(it.id).filter(messages::attempt.eq(it.attempt));
            let written = match &it.fate {
                Fate::Accepted { provider_ref } => {
                    let word = (settled(Word::ACCEPTED, None, now), messages::provider_ref.eq(provider_ref));
                    diesel::update(mine.filter(is_open())).set(word).execute(conn)?
                }
                Fate::Final { outcome, detail } => {
                    let word = settled(Word::finally(*outcome), detail.as_deref(), now);
                    diesel::update(mine.filter(is_open())).set(word).execute(conn)?
                }
                Fate::Later { at, refused, detail } => diesel::update(mine.filter(messages::state.eq("claimed")))
                    .set((
                        messages::state.eq("queued"),
                        messages::due_at.eq(at),
                        messages::detail.eq(detail),
                        messages::refusals.eq(messages::refusals + i16::from(*refused)),
                        messages::process.eq(None::<uuid::Uuid>),
                        messages::lease_ends_at.eq(None::<DateTime<Utc>>),
                    ))
                    .execute(conn)?,
            };
            if written == 1 && it.fate.is_news_of_an_opt_out() {
                opted_out.push(it);
            }
        }
        if !opted_out.is_empty() {
            let mut learnt = Vec::new();
            for it in opted_out {
                let (contact, channel) = store::other_side(conn, it.id)?;
                learnt.push(Learnt {
                    contact,
                    channel,
                    part: MessageKey { id: it.id, attempt: it.attempt }.to_string(),
                });
            }
            consent::store::learn(conn, &learnt, now)?;
        }
        Ok(())
    })
}

/// Those to whom these messages go.
fn contacts_of(conn: &mut PgConnection, ids: Vec<MessageId>) -> QueryResult<Vec<ContactId>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    messages::table
        .inner_join(conversations::table.on(conversations::id.eq(messages::conversation_id)))
        .filter(messages::id.eq_any(ids))
        .select(conversations::contact_id)
        .load(conn)
}

type Open = diesel::dsl::Or<
    diesel::dsl::Nullable<diesel::dsl::Eq<messages::state, &'static str>>,
    diesel::dsl::Nullable<diesel::dsl::Eq<messages::outcome, i16>>,
>;

/// Claimed and not settled, or given up as unconfirmed.
fn is_open() -> Open {
    messages::state.eq("claimed").nullable().or(messages::outcome.eq(Outcome::Unconfirmed.code()).nullable())
}

#[derive(AsChangeset)]
#[diesel(table_name = messages, treat_none_as_null = true)]
struct SettledColumns<'a> {
    state: &'a str,
    progress: Option<i16>,
    outcome: Option<i16>,
    detail: Option<&'a str>,
    settled_at: DateTime<Utc>,
    process: Option<uuid::Uuid>,
    lease_ends_at: Option<DateTime<Utc>>,
}

fn settled(word: Word, detail: Option<&str>, now: DateTime<Utc>) -> SettledColumns<'_> {
    SettledColumns {
        state: "settled",
        progress: word.progress,
        outcome: word.outcome.map(Outcome::code),
        detail,
        settled_at: now,
        process: None,
        lease_ends_at: None,
    }
}

/// Locks the conversations of these messages, and says that something in them is new.
fn touch(conn: &mut PgConnection, ids: &[MessageId]) -> QueryResult<()> {
    let of: Vec<ConversationId> =
        messages::table.filter(messages::id.eq_any(ids)).select(messages::conversation_id).load(conn)?;
    store::touch(conn, &of)
}

/// Merges a provider's news of replies of a channel: upwards only, repeated or out of
/// order. Returns how many changed something.
pub fn take_in(
    conn: &mut PgConnection,
    channel: ChannelId,
    mut known: Vec<(MessageKey, &Receipt)>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    if known.is_empty() {
        return Ok(0);
    }
    conn.transaction(|conn| {
        // One order for everybody who locks several; news of one message keeps its own.
        known.sort_by_key(|(key, _)| key.id);
        let ids: Vec<MessageId> = known.iter().map(|(key, _)| key.id).collect();
        touch(conn, &ids)?;
        locks::take(Lock::Message);
        let mut changed = 0;
        for (MessageKey { id, .. }, receipt) in known {
            let row: Option<(Option<i16>, Option<i16>, i16)> = messages::table
                .find(id)
                .filter(messages::channel_id.eq(channel))
                // What was never tried is not at any provider.
                .filter(messages::attempt.gt(0))
                .filter(messages::purpose.is_not_null())
                .select((messages::progress, messages::outcome, messages::attempt))
                .for_no_key_update()
                .first(conn)
                .optional()?;
            let Some((progress, outcome, _)) = row else { continue };
            let was = Word { progress, outcome: outcome.and_then(Outcome::of_code) };
            let Some(is) = merge(was, receipt.status, receipt.class) else { continue };
            diesel::update(messages::table.find(id)).set(settled(is, receipt.code.as_deref(), now)).execute(conn)?;
            changed += 1;
        }
        Ok(changed)
    })
}

/// Gives up replies whose lease has run out: nobody can say whether they were sent. Returns how many.
pub fn rescue(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<usize> {
    conn.transaction(|conn| {
        let ids: Vec<MessageId> = messages::table
            .filter(messages::state.eq("claimed"))
            .filter(messages::lease_ends_at.le(now))
            .order(messages::id)
            .limit(1000)
            .select(messages::id)
            .load(conn)?;
        let given_up = ids.clone();
        let n = give_up(conn, Outcome::Unconfirmed, Some("the sending process died"), now, |_| Ok(ids))?;
        if n > 0 {
            let left = to_ask_about(conn, &given_up, now)?;
            look_ups::order(conn, &left, now)?;
        }
        Ok(n)
    })
}

/// Those of these replies that were given up at `now`, where their provider can be asked what became of them.
fn to_ask_about(conn: &mut PgConnection, ids: &[MessageId], now: DateTime<Utc>) -> QueryResult<Vec<UnansweredSend>> {
    type Left = (MessageId, i16, ChannelId, String, String, Option<serde_json::Value>, Option<DateTime<Utc>>);
    let asked = ProviderName::ALL.into_iter().filter(|it| it.can_be_asked());
    let left: Vec<Left> = messages::table
        .inner_join(conversations::table.on(conversations::id.eq(messages::conversation_id)))
        .inner_join(contacts::table.on(contacts::id.eq(conversations::contact_id)))
        .inner_join(channels::table.on(channels::id.eq(messages::channel_id)))
        .filter(messages::id.eq_any(ids))
        .filter(messages::outcome.eq(Outcome::Unconfirmed.code()))
        .filter(messages::settled_at.eq(now))
        .filter(channels::provider.eq_any(asked))
        .select((
            messages::id,
            messages::attempt,
            messages::channel_id,
            contacts::address,
            messages::body,
            messages::choices,
            messages::claimed_at,
        ))
        .load(conn)?;
    let unanswered = |(id, attempt, channel, to, body, choices, claimed_at): Left| {
        let choices = choices.and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default();
        let body = Some(InDoubt::body_of(&Content::said(body, choices)));
        let key = MessageKey { id, attempt }.into();
        UnansweredSend { channel, key, to, body, begun_at: claimed_at.unwrap_or(now) }
    };
    Ok(left.into_iter().map(unanswered).collect())
}

/// Whether none of these replies is claimed any more, because somebody gave them up.
pub fn are_given_up(conn: &mut PgConnection, ids: impl Iterator<Item = MessageId>) -> QueryResult<bool> {
    let ids: Vec<MessageId> = ids.collect();
    let claimed = messages::table.filter(messages::id.eq_any(ids)).filter(messages::state.eq("claimed"));
    diesel::select(diesel::dsl::not(diesel::dsl::exists(claimed))).get_result(conn)
}

/// Settles replies that nobody will send, because what governs them was stopped. Returns how many.
pub fn stop_queued(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<usize> {
    use crate::db::schema::campaigns;
    give_up(conn, Outcome::Stopped, None, now, |conn| {
        messages::table
            .inner_join(schedules::table.on(messages::schedule_id.eq(schedules::id.nullable())))
            .inner_join(campaigns::table.on(campaigns::id.eq(schedules::campaign_id)))
            .filter(messages::state.eq("queued"))
            .filter(schedules::state.eq("stopped").or(campaigns::state.eq("stopped")))
            .order(messages::id)
            .limit(1000)
            .select(messages::id)
            .load(conn)
    })
}

/// Gives up what was due by `until` among the messages up to number `last`: it may have left,
/// and the database may have lost that. Bots that were to speak up by then stay silent.
/// Returns how many messages.
pub fn lose(conn: &mut PgConnection, last: MessageId, until: DateTime<Utc>, now: DateTime<Utc>) -> QueryResult<usize> {
    conn.transaction(|conn| {
        diesel::update(conversations::table.filter(conversations::wake_at.le(until)))
            .set(conversations::wake_at.eq(None::<DateTime<Utc>>))
            .execute(conn)?;
        let due = || {
            messages::table
                .filter(messages::state.eq("queued"))
                .filter(messages::id.le(last))
                .filter(messages::due_at.le(until))
        };
        let ids: Vec<MessageId> = due().order(messages::id).select(messages::id).load(conn)?;
        if ids.is_empty() {
            return Ok(0);
        }
        touch(conn, &ids)?;
        let word = settled(Word::finally(Outcome::Unconfirmed), Some(LOST), now);
        diesel::update(due().filter(messages::id.eq_any(ids))).set(word).execute(conn)
    })
}

/// Lets those leave again that were given up so since `since`, and of which nothing has been heard. Returns how many.
pub fn send_again(conn: &mut PgConnection, since: DateTime<Utc>, now: DateTime<Utc>) -> QueryResult<usize> {
    conn.transaction(|conn| {
        let lost = || {
            messages::table
                .filter(messages::outcome.eq(Outcome::Unconfirmed.code()))
                .filter(messages::progress.is_null())
                .filter(messages::detail.eq(LOST))
                .filter(messages::settled_at.ge(since))
        };
        let ids: Vec<MessageId> = lost().order(messages::id).select(messages::id).load(conn)?;
        if ids.is_empty() {
            return Ok(0);
        }
        touch(conn, &ids)?;
        diesel::update(lost().filter(messages::id.eq_any(ids)))
            .set((
                messages::state.eq("queued"),
                messages::outcome.eq(None::<i16>),
                messages::detail.eq(None::<&str>),
                messages::settled_at.eq(None::<DateTime<Utc>>),
                messages::due_at.eq(now),
            ))
            .execute(conn)
    })
}

fn give_up(
    conn: &mut PgConnection,
    outcome: Outcome,
    detail: Option<&str>,
    now: DateTime<Utc>,
    which: impl FnOnce(&mut PgConnection) -> QueryResult<Vec<MessageId>>,
) -> QueryResult<usize> {
    conn.transaction(|conn| {
        let ids = which(conn)?;
        if ids.is_empty() {
            return Ok(0);
        }
        touch(conn, &ids)?;
        let state = if outcome == Outcome::Stopped { "queued" } else { "claimed" };
        let still = messages::table.filter(messages::id.eq_any(ids)).filter(messages::state.eq(state));
        let still = still.filter(messages::lease_ends_at.is_null().or(messages::lease_ends_at.le(now)));
        diesel::update(still).set(settled(Word::finally(outcome), detail, now)).execute(conn)
    })
}
