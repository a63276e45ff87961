//! store: What of a launch wants a yes of its own, with its figure: many at once, a late start, people who were
//! messaged by the original.
//!
//! The page asks with a tick that carries the figure. The launch counts again: what was not agreed to, or has
//! grown since, is asked again.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Timestamptz};

use super::audience::Contacts;
use crate::campaigns::store::Lists;
use crate::channels::domain::Channel;
use crate::channels::reach::reachable;
use crate::db::N;
use crate::db::schema::campaigns;
use crate::ids::CampaignId;
use crate::lists;
use crate::pacing::LatePolicy;
use crate::web::chart::thousands;
use crate::words::words;

/// Minutes that somebody has for looking at the figure of what is growing, and for the launch.
const MINUTES_TO_LOOK: f64 = 5.0;

words! {
    /// What wants a yes of its own.
    pub enum Matter {
        /// More than a minute's worth leaves at once, because its time has passed.
        AtOnce = "at_once",
        /// The start has passed, and the sending begins with the launch.
        LateStart = "late_start",
        /// The campaign that this one was copied from, or another with the same file, has messaged them.
        Messaged = "messaged",
        /// A text of ours where only an approved one reaches whoever has not written lately.
        OutsideWindow = "outside_window",
        /// More new people than the channel's account may write to in a day.
        NewPeople = "new_people",
    }
}

/// Something that wants a yes, with how many contacts it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnYes {
    pub matter: Matter,
    pub n: i64,
    /// The figure that is agreed to: what grows by the minute has grown to this when somebody has looked.
    pub at_most: i64,
    /// Of [`Matter::NewPeople`]: what it is reckoned from.
    pub reach: ReachAhead,
}

/// How many new people an account may write to a day, how many of those places are used, and how many people are new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReachAhead {
    pub limit: i64,
    pub used: i64,
    pub new: i64,
}

impl ReachAhead {
    /// The same with those of another account.
    pub fn and(self, other: ReachAhead) -> ReachAhead {
        ReachAhead { limit: self.limit + other.limit, used: self.used + other.used, new: self.new + other.new }
    }
}

impl OwnYes {
    fn of(matter: Matter, n: i64) -> Option<OwnYes> {
        (n > 0).then_some(OwnYes { matter, n, at_most: n, reach: ReachAhead::default() })
    }

    /// What somebody agrees to.
    pub fn words(&self) -> String {
        let n = thousands(self.at_most);
        match self.matter {
            Matter::NewPeople => {
                let ReachAhead { limit, used, new } = self.reach;
                let [limit, used, now, new] = [limit, used, new - self.n, new].map(thousands);
                format!(
                    "Yes, {n} wait: this account may reach {limit} new people today, {used} are used: {now} of {new} can be \
                     reached today."
                )
            }
            Matter::AtOnce if self.n < self.at_most => format!(
                "Yes, {} at once, or up to {n} within {MINUTES_TO_LOOK} minutes: their time has passed already.",
                thousands(self.n)
            ),
            Matter::AtOnce => format!("Yes, {n} at once: their time has passed already."),
            Matter::LateStart => format!("Yes, late: the start has passed, and {n} are sent to from the launch on."),
            Matter::Messaged => format!("Yes, {n} again: an earlier campaign has messaged them already."),
            Matter::OutsideWindow => format!(
                "Yes, a text of our own to {n} who have not written within 24 hours: the provider refuses it, as things \
                 stand. Where it approves texts, one of those reaches them."
            ),
        }
    }

    /// Why it is asked, to somebody who had agreed to another figure, or to none.
    pub fn is_asked(&self, before: Option<i64>) -> String {
        match before {
            Some(before) => {
                format!("It was {} when you agreed, and has become {}.", thousands(before), self.noted(self.n))
            }
            None => format!("It is {}.", self.noted(self.n)),
        }
    }

    /// What it is, with this figure; for the journal as well.
    pub fn noted(&self, n: i64) -> String {
        let n = thousands(n);
        match self.matter {
            Matter::AtOnce => format!("{n} at once"),
            Matter::LateStart => format!("{n} after a start that has passed"),
            Matter::Messaged => format!("{n} who were messaged before"),
            Matter::OutsideWindow => format!("{n} whom a text of our own does not reach"),
            Matter::NewPeople => format!("{n} more new people than the account may reach today"),
        }
    }

    /// Whether an agreement covers it.
    fn is_covered_by(&self, agreed: &[(Matter, i64)]) -> bool {
        agreed.iter().any(|(matter, n)| *matter == self.matter && *n >= self.n)
    }
}

/// The first of these that nobody has agreed to, or that has grown since.
pub fn not_agreed<'a>(all: &'a [OwnYes], agreed: &[(Matter, i64)]) -> Option<&'a OwnYes> {
    all.iter().find(|it| !it.is_covered_by(agreed))
}

/// A schedule that would start after its start.
pub struct LateStart {
    pub policy: LatePolicy,
    pub contacts: i64,
    /// Sends that leave at once to catch up.
    pub burst: i64,
    /// Sends a minute.
    pub rate: f64,
}

/// What is late of these schedules.
pub fn of_starts(starts: impl IntoIterator<Item = LateStart>) -> Vec<OwnYes> {
    let (mut at_once, mut at_most, mut late) = (0, 0, 0);
    for it in starts {
        if it.policy == LatePolicy::CatchUp && it.burst as f64 > it.rate {
            at_once += it.burst;
            at_most += it.contacts.min(it.burst + (it.rate * MINUTES_TO_LOOK).ceil() as i64);
        } else {
            late += it.contacts;
        }
    }
    let at_once = OwnYes::of(Matter::AtOnce, at_once).map(|it| OwnYes { at_most, ..it });
    at_once.into_iter().chain(OwnYes::of(Matter::LateStart, late)).collect()
}

/// Whom of its contacts the original of a draft has messaged, or another campaign with its file, `same_file`.
pub fn of_originals(
    conn: &mut PgConnection,
    id: CampaignId,
    contacts: &Contacts,
    chosen: &Lists,
    same_file: &[CampaignId],
) -> QueryResult<Option<OwnYes>> {
    let original: Option<i64> = campaigns::table.find(id).select(campaigns::copied_from).first(conn)?;
    let originals: Vec<CampaignId> = original.map(CampaignId).into_iter().chain(same_file.iter().copied()).collect();
    if originals.is_empty() {
        return Ok(None);
    }
    let n = match contacts.file() {
        Some(file) => {
            diesel::sql_query(include_str!("messaged.sql"))
                .bind::<BigInt, _>(file.id)
                .bind::<Array<BigInt>, _>(originals)
                .get_result::<N>(conn)?
                .n
        }
        None => lists::store::count_messaged(conn, &chosen.include, &chosen.exclude, contacts.kind, &originals)?,
    };
    Ok(OwnYes::of(Matter::Messaged, n))
}

/// Somebody who may not be written to freely.
pub fn outside_the_window(n: i64) -> Option<OwnYes> {
    OwnYes::of(Matter::OutsideWindow, n)
}

/// More new people than accounts may write to within a day.
pub fn beyond_reach(ahead: impl IntoIterator<Item = ReachAhead>) -> Option<OwnYes> {
    let waits = |it: &ReachAhead| it.new - reachable(it.limit, it.used, it.new);
    let beyond: Vec<ReachAhead> = ahead.into_iter().filter(|it| waits(it) > 0).collect();
    let reach = beyond.iter().copied().reduce(ReachAhead::and)?;
    OwnYes::of(Matter::NewPeople, beyond.iter().map(waits).sum()).map(|it| OwnYes { reach, ..it })
}

/// How many of the contacts of a draft have written on a channel so lately that one may write to them freely; `None`
/// for a channel on which one always may.
pub fn n_heard(
    conn: &mut PgConnection,
    channel: &Channel,
    contacts: &Contacts,
    chosen: &Lists,
    now: DateTime<Utc>,
) -> QueryResult<Option<i64>> {
    let Some(window) = channel.provider.window(channel.kind) else { return Ok(None) };
    let since = now - window;
    let n = match contacts.file() {
        Some(file) => {
            diesel::sql_query(include_str!("heard.sql"))
                .bind::<BigInt, _>(file.id)
                .bind::<BigInt, _>(channel.id)
                .bind::<Timestamptz, _>(since)
                .get_result::<N>(conn)?
                .n
        }
        None => lists::store::count_heard(conn, &chosen.include, &chosen.exclude, contacts.kind, channel.id, since)?,
    };
    Ok(Some(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_minutes_worth_at_once_and_a_late_start_are_two_matters() {
        let start = |policy, burst| LateStart { policy, contacts: 1_000, burst, rate: 10.0 };
        let yes = |matter, n, at_most| OwnYes { at_most, ..OwnYes::of(matter, n).unwrap() };
        let catch_up = |burst| of_starts([start(LatePolicy::CatchUp, burst)]);
        assert_eq!(catch_up(11), [yes(Matter::AtOnce, 11, 61)]);
        assert_eq!(catch_up(990), [yes(Matter::AtOnce, 990, 1_000)], "no more than there are");
        assert_eq!(catch_up(10), [yes(Matter::LateStart, 1_000, 1_000)]);
        let both = of_starts([start(LatePolicy::CatchUp, 500), start(LatePolicy::Spread, 0)]);
        assert_eq!(both, [yes(Matter::AtOnce, 500, 550), yes(Matter::LateStart, 1_000, 1_000)]);
        assert_eq!(of_starts([]), []);
    }

    #[test]
    fn what_an_account_cannot_reach_today_is_said_with_its_figures() {
        let ahead = |limit, used, new| ReachAhead { limit, used, new };
        let yes = beyond_reach([ahead(250, 40, 1_000), ahead(2_000, 0, 2_000)]).unwrap();
        assert_eq!((yes.n, yes.matter), (790, Matter::NewPeople));
        let says = "Yes, 790 wait: this account may reach 250 new people today, 40 are used: 210 of 1,000 can be reached today.";
        assert_eq!(yes.words(), says);
        assert_eq!(beyond_reach([ahead(250, 40, 210)]), None);
    }

    #[test]
    fn a_yes_holds_for_its_figure_and_for_less() {
        let at_once = OwnYes { at_most: 3_300, ..OwnYes::of(Matter::AtOnce, 3_224).unwrap() };
        let messaged = OwnYes::of(Matter::Messaged, 10).unwrap();
        let all = [at_once, messaged];
        assert_eq!(not_agreed(&all, &[]), Some(&at_once));
        assert_eq!(not_agreed(&all, &[(Matter::AtOnce, 3_223), (Matter::Messaged, 10)]), Some(&at_once));
        assert_eq!(not_agreed(&all, &[(Matter::AtOnce, 3_224), (Matter::Messaged, 9)]), Some(&messaged));
        assert_eq!(not_agreed(&all, &[(Matter::Messaged, 3_224)]), Some(&at_once), "each its own");
        assert_eq!(not_agreed(&all, &[(Matter::AtOnce, 3_300), (Matter::Messaged, 10)]), None);
        assert!(at_once.words().contains("3,224 at once, or up to 3,300 within 5 minutes"), "{}", at_once.words());
    }
}
