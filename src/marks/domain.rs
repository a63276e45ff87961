use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::ids::{LeaseId, MessageId, RunId, ScheduleId};

/// Claims, and as many replies, that are asked for by name. More than can be made side by
/// side: of those that were confirmed in another order than they were written in, one may
/// be there and one before it not.
const ASKED_FOR: usize = 16;
/// So long a run is remembered whose time is over: it can still be given more.
const REMEMBERED: TimeDelta = TimeDelta::days(7);

/// What a process knows to have been written down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownRuns {
    /// The newest instant that it reaches; `None` while nothing is known.
    pub until: Option<DateTime<Utc>>,
    pub newest: Newest,
    pub top: Top,
    /// The last claims of contacts.
    pub claims: VecDeque<ClaimMark>,
    /// The last claims of replies, each with the number of its try.
    pub replies: VecDeque<(MessageId, i16)>,
    pub runs: BTreeMap<RunId, Stand>,
}

/// What was written down last, each with its number and its time: a number alone is given
/// out a second time after a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Newest {
    /// In the journal.
    pub entry: Option<(i64, DateTime<Utc>)>,
    /// Of what contacts wrote, and we to them.
    pub message: Option<(i64, DateTime<Utc>)>,
}

/// The greatest numbers that were given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Top {
    pub run: i64,
    pub lease: i64,
    pub message: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ClaimMark {
    pub at: DateTime<Utc>,
    pub run: RunId,
    /// Behind the last of its contacts.
    pub next_seq: i32,
    pub lease: LeaseId,
    pub process: Uuid,
}

/// Where a run stood.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Stand {
    pub schedule: ScheduleId,
    pub name: String,
    /// The word in the database.
    pub state: String,
    pub next_seq: i32,
    pub ends_at: DateTime<Utc>,
}

impl Stand {
    pub fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "overrun" | "stopped")
    }

    /// Whether somebody, or a rule, had kept it from going on.
    pub fn was_held(&self) -> bool {
        matches!(self.state.as_str(), "paused" | "stopped")
    }
}

/// One thing to know: a line of the mark.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    Reaches { until: DateTime<Utc>, newest: Newest, top: Top },
    Run { id: RunId, stand: Stand },
    Claim(ClaimMark),
    Reply { at: DateTime<Utc>, id: MessageId, attempt: i16 },
}

impl KnownRuns {
    pub fn is_empty(&self) -> bool {
        self.until.is_none()
    }

    /// Learns one thing more. Nothing that is known becomes less by it.
    pub fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Reaches { until, newest, top } => {
                self.until = self.until.max(Some(until));
                later(&mut self.newest.entry, newest.entry);
                later(&mut self.newest.message, newest.message);
                self.top.run = self.top.run.max(top.run);
                self.top.lease = self.top.lease.max(top.lease);
                self.top.message = self.top.message.max(top.message);
            }
            Fact::Run { id, mut stand } => {
                if let Some(known) = self.runs.get(&id) {
                    stand.next_seq = stand.next_seq.max(known.next_seq);
                }
                self.runs.insert(id, stand);
            }
            Fact::Claim(claim) => {
                self.until = self.until.max(Some(claim.at));
                self.top.lease = self.top.lease.max(claim.lease.0);
                if let Some(stand) = self.runs.get_mut(&claim.run) {
                    stand.next_seq = stand.next_seq.max(claim.next_seq);
                }
                push(&mut self.claims, claim);
            }
            Fact::Reply { at, id, attempt } => {
                self.until = self.until.max(Some(at));
                self.top.message = self.top.message.max(id.0);
                push(&mut self.replies, (id, attempt));
            }
        }
    }

    /// Whether a run stands exactly so.
    pub fn has(&self, fact: &Fact) -> bool {
        matches!(fact, Fact::Run { id, stand } if self.runs.get(id) == Some(stand))
    }

    /// Everything, as facts that make the same of nothing.
    pub fn facts(&self) -> Vec<Fact> {
        let Some(until) = self.until else { return Vec::new() };
        let mut facts = vec![Fact::Reaches { until, newest: self.newest, top: self.top }];
        facts.extend(self.runs.iter().map(|(id, stand)| Fact::Run { id: *id, stand: stand.clone() }));
        facts.extend(self.claims.iter().copied().map(Fact::Claim));
        facts.extend(self.replies.iter().map(|(id, attempt)| Fact::Reply { at: until, id: *id, attempt: *attempt }));
        facts
    }

    /// Runs whose state may still change.
    pub fn open_runs(&self) -> Vec<i64> {
        self.runs.iter().filter(|(_, stand)| !stand.has_ended()).map(|(id, _)| id.0).collect()
    }

    /// Forgets runs whose time was over long before `now`.
    pub fn forget_old(&mut self, now: DateTime<Utc>) {
        self.runs.retain(|_, stand| !stand.has_ended() || now - REMEMBERED < stand.ends_at);
    }

    /// Takes the database's word for everything: what it lacks has been seen to.
    pub fn believe(&mut self, facts: Vec<Fact>) {
        *self = KnownRuns { until: self.until, top: self.top, ..KnownRuns::default() };
        facts.into_iter().for_each(|fact| self.learn(fact));
    }
}

/// Takes `it` if its number is not smaller.
fn later(last: &mut Option<(i64, DateTime<Utc>)>, it: Option<(i64, DateTime<Utc>)>) {
    if last.map(|(id, _)| id) <= it.map(|(id, _)| id) {
        *last = it;
    }
}

fn push<T>(last: &mut VecDeque<T>, it: T) {
    if last.len() == ASKED_FOR {
        last.pop_front();
    }
    last.push_back(it);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn stand(next_seq: i32, state: &str) -> Stand {
        Stand { schedule: ScheduleId(5), name: "Spring".into(), state: state.into(), next_seq, ends_at: at(0) }
    }

    fn claim(n: i64) -> Fact {
        Fact::Claim(ClaimMark {
            at: at(n),
            run: RunId(7),
            next_seq: 10 * n as i32,
            lease: LeaseId(n),
            process: Uuid::from_u128(1),
        })
    }

    #[test]
    fn what_is_known_comes_back_from_its_facts_as_it_was() {
        let mut known = KnownRuns::default();
        known.learn(Fact::Run { id: RunId(7), stand: stand(1, "running") });
        (1..=30).for_each(|n| known.learn(claim(n)));
        known.learn(Fact::Reaches {
            until: at(31),
            newest: Newest { entry: Some((9, at(3))), ..Newest::default() },
            top: Top { run: 7, lease: 2, message: 4 },
        });
        known.learn(Fact::Reply { at: at(40), id: MessageId(12), attempt: 2 });

        let mut again = KnownRuns::default();
        known.facts().into_iter().for_each(|fact| again.learn(fact));

        assert_eq!(again, known);
        assert_eq!((known.runs[&RunId(7)].next_seq, known.until), (300, Some(at(40))));
        assert_eq!(known.top, Top { run: 7, lease: 30, message: 12 });
        assert_eq!(known.claims.len(), ASKED_FOR);
    }

    #[test]
    fn nothing_becomes_less_unless_the_database_is_believed() {
        let mut known = KnownRuns::default();
        known.learn(Fact::Run { id: RunId(7), stand: stand(500, "running") });
        known.learn(Fact::Run { id: RunId(7), stand: stand(40, "paused") });
        assert_eq!((known.runs[&RunId(7)].next_seq, known.runs[&RunId(7)].was_held()), (500, true));

        known.believe(vec![Fact::Run { id: RunId(7), stand: stand(40, "paused") }]);
        assert_eq!(known.runs[&RunId(7)].next_seq, 40);
    }

    #[test]
    fn a_run_is_forgotten_a_week_after_its_time_was_over() {
        let mut known = KnownRuns::default();
        known.learn(Fact::Run { id: RunId(7), stand: stand(1, "completed") });
        known.learn(Fact::Run { id: RunId(8), stand: stand(1, "paused") });
        assert_eq!(known.open_runs(), [8]);
        known.forget_old(at(0) + TimeDelta::days(6));
        assert_eq!(known.runs.len(), 2);
        known.forget_old(at(0) + TimeDelta::days(8));
        assert_eq!(known.runs.keys().collect::<Vec<_>>(), [&RunId(8)], "one that has not ended is kept");
    }
}
