//! store: Whose turn it is: what a claim asks about contacts before it takes them.
//!
//! Most runs ask nothing, and their contacts are taken as they stand. A run with
//! hours of the contact or a rule for busy contacts, one whose channel may begin with so many
//! people a day, and every run while there is a frequency cap, looks at its next contacts one by one. Each is taken, put off
//! (it waits on the list of second tries, for its first) or left out for good; the
//! run's rate is spent on those that are taken and on no others.
//!
//! Two claims that ask about the same contact do it one after the other, so what
//! the first decides, the second sees: a cap is exact, and of two campaigns that
//! give way to each other one goes first.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;

use uuid::Uuid;

use super::{Fate, Lease, Outcome, Settled};
use crate::channels::reach::{self, DailyReach, Places};
use crate::deliveries::claim::{Candidate, Elsewhere, Held};
use crate::ids::{ContactId, LeaseId, RunId};
use crate::pacing::{LocalHours, own_zone, zones_of_number};
use crate::runs::Run;
use crate::schedules::Busy;
use crate::settings::Cap;
use crate::{campaigns, channels};

/// Contacts that one claim looks at, at most: it holds its run meanwhile.
const LOOKED_AT: usize = 2_000;
/// Contacts that one claim asks other runs about, at most, unless it may take more.
const ASKED: usize = 100;
/// Contacts read at once, first and then.
const CHUNKS: [usize; 2] = [100, 500];
/// When a contact that is busy elsewhere comes round again.
const BUSY_FOR: TimeDelta = TimeDelta::minutes(5);

/// What a run asks about each of its contacts.
struct Asked<'a> {
    run: &'a Run,
    hours: Option<Hours>,
    cap: Option<Cap>,
    /// The limit of the channel's account, where what is sent counts.
    reach: Option<&'a DailyReach>,
    now: DateTime<Utc>,
}

/// The hours of the contacts of one run.
struct Hours {
    hours: LocalHours,
    /// Whether an address is a phone number, which tells where its owner lives.
    is_phone: bool,
    /// Where a contact lives about whom nothing is known.
    fallback: Tz,
}

/// What others have to do with the contacts that are asked about.
#[derive(Default)]
struct Known {
    sent: HashMap<ContactId, i64>,
    elsewhere: HashMap<ContactId, Vec<Elsewhere>>,
    places: Option<Places>,
}

enum Verdict {
    /// It is sent to, and these of other runs are not.
    Take(Vec<(RunId, i32)>),
    Hold {
        until: DateTime<Utc>,
        detail: String,
    },
    LeaveOut {
        outcome: Outcome,
        detail: String,
    },
}

/// Whether a run has to look at its contacts one by one.
pub fn is_asked(run: &Run, cap: Option<Cap>, reach: Option<&DailyReach>) -> bool {
    !run.is_test && (run.rules.local.is_some() || run.rules.busy != Busy::Ignore || cap.is_some() || reach.is_some())
}

/// Whom a claim takes, and what it did with others on the way.
#[derive(Default)]
pub struct Selection {
    /// Contacts to take, by the number of their try.
    pub taken: Vec<(i16, Vec<i32>)>,
    /// How often providers have said "later" about those that waited.
    pub refusals: HashMap<i32, i16>,
    /// When the hours of the first of them end.
    pub until: Option<DateTime<Utc>>,
    /// How many were put off or left out.
    pub passed: usize,
}

/// Looks for up to `most` contacts to take, at most `first` of them for their first
/// try, and writes down what becomes of those that are passed on the way. The caller
/// holds the run and takes what is returned, all of it.
pub fn next(
    conn: &mut PgConnection,
    run: &Run,
    (cap, reach): (Option<Cap>, Option<&DailyReach>),
    most: usize,
    first: i64,
    now: DateTime<Utc>,
) -> QueryResult<Selection> {
    let hours = match run.rules.local {
        Some(hours) => {
            let is_phone = channels::store::find(conn, run.channel_id)?.kind.is_phone();
            let fallback = campaigns::store::find(conn, run.campaign_id)?.zone;
            Some(Hours { hours, is_phone, fallback })
        }
        None => None,
    };
    let asked = Asked { run, hours, cap, reach, now };

    // Those that wait come first. Each is looked at; what is closed goes back.
    let mut looked: Vec<(Candidate, Option<Verdict>)> = Vec::new();
    let (mut n_asked, to_ask) = (0, ASKED.max(most));
    let mut chunk = CHUNKS[0];
    loop {
        let waiting = super::claim::due_retries(conn, run.id, looked.len(), chunk, first == 0, now)?;
        let is_last = waiting.len() < chunk;
        asked.look(super::claim::candidates(conn, run.id, &waiting)?, &mut looked, &mut n_asked, to_ask);
        if is_last || n_asked == to_ask || LOOKED_AT <= looked.len() {
            break;
        }
        chunk = CHUNKS[1];
    }
    let mut from = run.next_seq;
    let mut chunk = CHUNKS[0] as i32;
    while n_asked < to_ask && looked.len() < LOOKED_AT && from <= run.last_seq && first > 0 {
        let to = run.last_seq.min(from + chunk - 1);
        let turns: Vec<(i32, i16)> = (from..=to).map(|seq| (seq, 1)).collect();
        asked.look(super::claim::candidates(conn, run.id, &turns)?, &mut looked, &mut n_asked, to_ask);
        (from, chunk) = (to + 1, CHUNKS[1] as i32);
    }

    let open = looked.iter().filter(|(_, verdict)| verdict.is_none());
    let contacts: Vec<ContactId> = open.map(|(candidate, _)| candidate.contact).collect();
    let known = asked.ask_others(conn, &contacts)?;
    asked.decide(conn, looked, known, most, first)
}

impl Asked<'_> {
    /// Adds candidates with what can be said about them without asking others, until
    /// there are `to_ask` about whom nothing can.
    fn look(
        &self,
        candidates: Vec<Candidate>,
        looked: &mut Vec<(Candidate, Option<Verdict>)>,
        n_asked: &mut usize,
        to_ask: usize,
    ) {
        for candidate in candidates {
            if *n_asked == to_ask {
                return;
            }
            let verdict = self.alone(&candidate);
            *n_asked += usize::from(verdict.is_none());
            looked.push((candidate, verdict));
        }
    }

    /// What can be said about a contact without asking others.
    fn alone(&self, candidate: &Candidate) -> Option<Verdict> {
        if let Some(why) = &candidate.replaced {
            return Some(Verdict::LeaveOut { outcome: Outcome::Replaced, detail: why.clone() });
        }
        self.hours.as_ref()?.closed(candidate, self.now, self.run.window.ends)
    }

    fn ask_others(&self, conn: &mut PgConnection, contacts: &[ContactId]) -> QueryResult<Known> {
        let busy = self.run.rules.busy != Busy::Ignore;
        let mut known = Known::default();
        if contacts.is_empty() || (!busy && self.cap.is_none() && self.reach.is_none()) {
            return Ok(known);
        }
        super::claim::lock_contacts(conn, contacts)?;
        if let Some(cap) = self.cap {
            known.sent = super::claim::sent_lately(conn, contacts, self.now - TimeDelta::days(cap.days.into()))?;
        }
        if busy {
            for it in super::claim::elsewhere(conn, self.run, contacts, self.now)? {
                known.elsewhere.entry(it.contact_id).or_default().push(it);
            }
        }
        if let Some(reach) = self.reach {
            known.places = Some(reach::lock_places(conn, reach, contacts, self.now)?);
        }
        Ok(known)
    }

    /// What becomes of a contact, now that others were asked.
    fn verdict(&self, contact: ContactId, known: &Known) -> Verdict {
        if let Some(cap) = self.cap
            && known.sent.get(&contact).is_some_and(|n| i64::from(cap.messages) <= *n)
        {
            let days = if cap.days == 1 { "day" } else { "days" };
            let detail = format!("{} within {} {days} are allowed", cap.messages, cap.days);
            return Verdict::LeaveOut { outcome: Outcome::FrequencyCap, detail };
        }
        let before = known.elsewhere.get(&contact).into_iter().flatten().filter(|it| self.gives_way_to(it));
        let before: Vec<&Elsewhere> = before.collect();
        let Some(other) = before.first() else { return Verdict::Take(Vec::new()) };
        match self.run.rules.busy {
            Busy::Ignore => Verdict::Take(Vec::new()),
            Busy::Wait => Verdict::Hold {
                until: (self.now + BUSY_FOR).min(self.run.window.ends),
                detail: format!("waits until {} is through with this person", other.campaign),
            },
            Busy::Skip => Verdict::LeaveOut { outcome: Outcome::Busy, detail: other.campaign.clone() },
            // What is on the wire there cannot be replaced any more.
            Busy::Replace => {
                Verdict::Take(before.iter().filter(|it| !it.in_flight).map(|it| (it.run_id, it.seq)).collect())
            }
        }
    }

    /// Takes a contact whose turn it is, if the channel's account has a place for them.
    fn place(&self, contact: ContactId, theirs: Vec<(RunId, i32)>, known: &mut Known) -> Verdict {
        let (Some(reach), Some(places)) = (self.reach, &mut known.places) else { return Verdict::Take(theirs) };
        match places.take(contact) {
            Ok(()) => Verdict::Take(theirs),
            Err(again_at) => Verdict::Hold {
                until: again_at.min(self.run.window.ends),
                detail: format!("waits: the account may write to {} new people a day", reach.limit),
            },
        }
    }

    /// Of two runs that would both give way, the one that started first does not.
    fn gives_way_to(&self, other: &Elsewhere) -> bool {
        let rule = other.busy.as_deref().and_then(Busy::of_word).unwrap_or_default();
        let other_gives_way = matches!(rule, Busy::Wait | Busy::Skip);
        let is_first = (self.run.window.starts, self.run.id) < (other.starts_at, other.run_id);
        !(other_gives_way && is_first && self.run.rules.busy != Busy::Replace)
    }

    /// Decides in the order in which they were looked at, until enough are taken.
    fn decide(
        &self,
        conn: &mut PgConnection,
        looked: Vec<(Candidate, Option<Verdict>)>,
        mut known: Known,
        most: usize,
        mut first: i64,
    ) -> QueryResult<Selection> {
        let (mut held, mut left_out, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
        let (mut taken, mut n_taken) = (Vec::<(i16, Vec<i32>)>::new(), 0);
        let (mut wait_no_more, mut until) = (Vec::new(), None::<DateTime<Utc>>);
        let (mut next_seq, mut passed_over) = (self.run.next_seq, 0);
        for (candidate, verdict) in looked {
            let Candidate { seq, attempt, contact, .. } = candidate;
            let closes = || Some(self.hours.as_ref()?.closes(&candidate, self.now));
            let is_fresh = self.run.next_seq <= seq;
            let verdict = match verdict {
                Some(verdict) => verdict,
                None => self.verdict(contact, &known),
            };
            if let Verdict::Take(_) = verdict
                && (n_taken == most || (attempt == 1 && first == 0))
            {
                // The cursor stands before it; others that wait stay where they are.
                if is_fresh {
                    break;
                }
                continue;
            }
            let verdict = match verdict {
                Verdict::Take(theirs) => self.place(contact, theirs, &mut known),
                verdict => verdict,
            };
            if is_fresh {
                next_seq = seq + 1;
            }
            match verdict {
                Verdict::Take(theirs) => {
                    n_taken += 1;
                    until = until.into_iter().chain(closes()).min();
                    first -= i64::from(attempt == 1);
                    *known.sent.entry(contact).or_default() += 1;
                    replaced.extend(theirs);
                    match taken.iter_mut().find(|(of, _)| *of == attempt) {
                        Some((_, seqs)) => seqs.push(seq),
                        None => taken.push((attempt, vec![seq])),
                    }
                    if !is_fresh {
                        wait_no_more.push(seq);
                        passed_over -= i32::from(attempt == 1);
                    }
                }
                Verdict::Hold { until, detail } => {
                    held.push(Held { seq, attempt, until, detail });
                    passed_over += i32::from(is_fresh);
                }
                Verdict::LeaveOut { outcome, detail } => {
                    let fate = Fate::Final { outcome, detail: Some(detail) };
                    // Nobody claimed it.
                    let lease = Lease { id: LeaseId(0), process: Uuid::nil(), taken_at: self.now };
                    let (run, attempt) = (self.run.id, attempt - 1);
                    left_out.push(Settled {
                        lease,
                        run,
                        seq,
                        attempt,
                        refusals: 0,
                        fate,
                        begun_at: None,
                        opens: false,
                    });
                    passed_over += i32::from(is_fresh);
                    if !is_fresh {
                        wait_no_more.push(seq);
                    }
                }
            }
        }
        if let (Some(reach), Some(places)) = (self.reach, known.places) {
            reach::note(conn, reach, places, self.now)?;
        }
        let passed = held.len() + left_out.len();
        super::settle::write_words(conn, &left_out.iter().collect::<Vec<_>>(), 0, self.now)?;
        let refusals = match wait_no_more.is_empty() {
            true => HashMap::new(),
            false => super::claim::wait_no_more(conn, self.run.id, &wait_no_more)?,
        };
        if !held.is_empty() {
            super::claim::hold(conn, self.run.id, &held)?;
        }
        if !replaced.is_empty() {
            let why = format!("{} took its place", super::claim::campaign_name(conn, self.run)?);
            super::claim::replace(conn, &replaced, &why, self.now)?;
        }
        if next_seq != self.run.next_seq || passed_over != 0 {
            super::claim::move_cursor(conn, self.run.id, next_seq, passed_over)?;
        }
        Ok(Selection { taken, refusals, until, passed })
    }
}

impl Hours {
    /// Where a contact may live.
    fn zones(&self, candidate: &Candidate) -> Cow<'static, [Tz]> {
        match own_zone(&candidate.values) {
            Some(zone) => Cow::Owned(vec![zone]),
            None if self.is_phone => Cow::Borrowed(zones_of_number(&candidate.address)),
            None => Cow::Borrowed(&[]),
        }
    }

    /// When the hours of a contact end that are open now.
    fn closes(&self, candidate: &Candidate, now: DateTime<Utc>) -> DateTime<Utc> {
        self.hours.closes(&self.zones(candidate), self.fallback, now)
    }

    fn closed(&self, candidate: &Candidate, now: DateTime<Utc>, ends: DateTime<Utc>) -> Option<Verdict> {
        let zones = self.zones(candidate);
        if self.hours.is_open(&zones, self.fallback, now) {
            return None;
        }
        let from = self.hours.from().format("%H:%M");
        Some(match self.hours.next_open(&zones, self.fallback, now, ends) {
            Some(until) => Verdict::Hold { until, detail: format!("waits for {from} where the person lives") },
            None => {
                let detail = format!("it does not get {from} where the person lives before the end");
                Verdict::Hold { until: ends, detail }
            }
        })
    }
}
