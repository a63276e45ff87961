//! domain: What a run keeps to beside its rate, and which rows a schedule serves.

use chrono::{DateTime, TimeDelta, Utc};

use crate::ids::ScheduleId;
use crate::pacing::{LateLimit, LocalHours};
use crate::words::words;

/// Whether two values of a group field mean the same group: whatever their case and
/// the blanks around them.
pub fn same_group(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// What a run keeps to beside its rate. Pinned when the run is made.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Rules {
    /// How late it may start, and what happens after that; `None`: any time before its end.
    pub late: Option<LateLimit>,
    /// Hours, where the contact is, outside of which nobody is sent to.
    pub local: Option<LocalHours>,
    pub canary: Option<Canary>,
    pub busy: Busy,
    /// Goes to those whom another schedule could not reach, and to nobody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
}

/// The schedule that tries to reach people before, mostly on another channel.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct After {
    /// Of the same campaign.
    pub schedule: ScheduleId,
    /// So many minutes after its run has ended: what a provider could not deliver it tells later.
    pub minutes: i32,
}

impl Rules {
    /// For the journal.
    pub fn words(&self) -> String {
        let late = self.late.map_or("any lateness".to_owned(), |it| {
            format!("{} minutes late at most, then {}", it.within.num_minutes(), it.then.word())
        });
        let local = self
            .local
            .map_or("at any hour of theirs".to_owned(), |it| format!("{} to {} where they are", it.from(), it.to()));
        let canary = self.canary.map_or("no canary".to_owned(), |it| {
            format!("{} first, {} minutes, {} % failed at most", it.first, it.minutes, it.most_failed)
        });
        let after = self.after.map_or(String::new(), |it| {
            format!("; to those whom schedule {} could not reach, {} minutes after it", it.schedule, it.minutes)
        });
        format!("{late}; {local}; {canary}; busy elsewhere: {}{after}", self.busy.word())
    }
}

/// A few go first; the others follow when those turned out well.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Canary {
    /// How many go first.
    pub first: i32,
    /// How long to wait for receipts that do not come, in minutes.
    pub minutes: i32,
    /// The largest share of failures among them that lets the others follow, in percent.
    pub most_failed: f64,
}

impl Canary {
    /// What `failed` of the first contacts mean, when about `open` nothing final is
    /// known and the last of them was claimed `waited` ago. `None`: too early to say.
    pub fn judge(&self, failed: i64, open: i64, waited: TimeDelta) -> Option<Verdict> {
        if open > 0 && waited < TimeDelta::minutes(self.minutes.into()) {
            return None;
        }
        let percent = failed as f64 * 100.0 / f64::from(self.first.max(1));
        Some(if percent <= self.most_failed { Verdict::GoOn } else { Verdict::Hold })
    }

    /// Why a run is held whose first contacts failed so often, for the journal.
    pub fn held_because(&self, failed: i64) -> String {
        let percent = failed as f64 * 100.0 / f64::from(self.first.max(1));
        let percent = (percent * 10.0).round() / 10.0;
        format!("{failed} of the first {} failed ({percent} %), more than {} %", self.first, self.most_failed)
    }

    /// Until when receipts are waited for that do not come.
    pub fn waits_until(&self, last_claimed: DateTime<Utc>) -> DateTime<Utc> {
        last_claimed + TimeDelta::minutes(self.minutes.into())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    GoOn,
    Hold,
}

words! {
    /// What happens to a contact whose turn in another campaign's run is still to come.
    #[derive(Default, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Busy {
        /// Both send.
        #[default]
        Ignore = "ignore" => "Send all the same",
        /// This one waits until the other is through with the contact.
        Wait = "wait" => "Wait until the other campaign is through with them",
        /// This one leaves the contact out.
        Skip = "skip" => "Leave them out here",
        /// The other one leaves the contact out.
        Replace = "replace" => "Leave them out there",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_the_same_whatever_their_case_and_the_blanks_around_them() {
        assert!(same_group(" Dublin", "DUBLIN "));
        assert!(same_group("ÉTAT", "état"));
        assert!(!same_group("Dublin", "Dublin 2"));
    }
}
