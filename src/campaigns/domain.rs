use chrono_tz::Tz;

use crate::db::Reason;
use crate::files::store::MOST_GROUPS;
use crate::ids::{CampaignId, FileId};
use crate::runs;
use crate::schedules::{self, PausedWith, Schedule, ScheduleState, When};
use crate::settings::Override;
use crate::web::chart::thousands;
use crate::words::words;

use crate::campaigns::inbound::{self, Validity};

#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    pub id: CampaignId,
    pub name: String,
    pub kind: CampaignKind,
    /// The dates and times of its schedules are meant there.
    pub zone: Tz,
    pub state: CampaignState,
    /// Its contacts; for a daily campaign the file whose structure the daily files must have.
    pub file_id: Option<FileId>,
    /// Field whose value says which schedule serves a row; `None`: every schedule serves every row.
    pub group_by: Option<String>,
    pub freeze: Freeze,
    /// Its own quiet hours, or the installation's.
    pub quiet: Override,
    /// How long after its last message a conversation can be continued.
    pub validity: Validity,
    /// Hours and texts, of one in which the contact writes first.
    pub inbound: Option<inbound::InboundPlan>,
}

words! {
    /// Where its contacts come from, and how often it runs.
    #[derive(Default, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum CampaignKind {
        /// One time, to a file or to lists.
        #[default]
        OnceOff = "once_off" => "Once off",
        /// On each expected weekday, to the file that was dropped that day.
        Daily = "daily" => "Daily",
        /// Again and again, to lists.
        Recurring = "recurring" => "Recurring",
        /// One time, one plain text, made in a minute.
        Quick = "quick" => "Quick",
        /// The contact writes first.
        Inbound = "inbound" => "Inbound",
    }
}

impl CampaignKind {
    /// Whether a schedule that runs on such days belongs into a campaign of this kind.
    pub fn takes(self, when: &When) -> bool {
        match when {
            When::Once { .. } => matches!(self, CampaignKind::OnceOff | CampaignKind::Quick),
            When::Daily => self == CampaignKind::Daily,
            When::Recurring(_) => self == CampaignKind::Recurring,
            When::Inbound => self == CampaignKind::Inbound,
        }
    }
}

words! {
    /// When lists become an audience.
    #[derive(Default, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Freeze {
        /// Whoever is on them as a run is readied.
        #[default]
        Start = "start" => "Whoever is on the lists when a run starts",
        /// Whoever is on them at the launch, in every run.
        Launch = "launch" => "Whoever is on the lists at the launch, in every run",
    }
}

words! {
    pub enum CampaignState {
        Draft = "draft",
        Active = "active",
        Paused = "paused",
        Stopped = "stopped",
        Finished = "finished",
        Archived = "archived",
    }
}

/// Why a campaign stayed as it was. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("The campaign is a draft. Launch it first.")]
    IsDraft,
    #[error("Import a file first; then its columns can be chosen.")]
    ImportFirst,
    #[error("Choose a column of the file.")]
    NotAColumn,
    #[error("This column has more than {} different values. Choose one with a few.", thousands(MOST_GROUPS as i64))]
    TooManyGroups,
    #[error("Another schedule of this campaign has this name.")]
    ScheduleNameTaken,
    #[error("The campaign has been launched already.")]
    AlreadyLaunched,
    #[error("The campaign is already paused.")]
    AlreadyPaused,
    #[error("The campaign is not paused.")]
    NotPaused,
    #[error("The campaign was stopped; a stop is final. Duplicate it to run it again.")]
    Stopped,
    #[error("The campaign has finished.")]
    Finished,
    #[error("The campaign is archived.")]
    Archived,
    #[error("The campaign has not ended yet.")]
    NotEnded,
    #[error("Another campaign is called “{0}”. Choose a name of its own.")]
    NameTaken(String),
    #[error("Add a file with contacts first.")]
    NoFile,
    #[error("Choose at least one list whose members it goes to.")]
    NoLists,
    #[error("Nobody is on the lists it goes to who is not on the lists it leaves out.")]
    NobodyOnLists,
    #[error("The file is not imported yet.")]
    FileNotReady,
    #[error("The file has no usable contact.")]
    NoContacts,
    #[error("Say on which days and between which times the daily file is expected.")]
    NoDailyPlan,
    #[error("No schedules belong to this campaign. Add one first.")]
    NoSchedules,
    #[error("“{schedule}” ends before it could start: {ends} has passed. Choose a later date or end time.")]
    WindowPassed { schedule: String, ends: String },
    #[error("“{schedule}” starts and ends at the same instant. Choose another end time.")]
    EmptyWindow { schedule: String },
    #[error(
        "“{schedule}” goes through a channel that does not reach the addresses of the file. Choose another channel."
    )]
    OtherKind { schedule: String },
    #[error("“{schedule}” was planned for another kind of campaign. Change it and save it again.")]
    OtherWhen { schedule: String },
    #[error("“{schedule}” serves no group. Choose the value of “{field}” that it serves.")]
    NoGroup { schedule: String, field: String },
    #[error("“{one}” and “{other}” serve the same group at the same time. Give one another group or other times.")]
    SameGroup { one: String, other: String },
    #[error("The file has no column “{field}” to group its contacts by. Choose another one, or none.")]
    NoSuchColumn { field: String },
    #[error("“{schedule}” sends the bot “{bot}”, which is archived. Restore it, or choose another.")]
    BotArchived { schedule: String, bot: String },
    #[error("The campaign was changed while you looked at it. Look at it again, then approve it.")]
    ChangedMeanwhile,
    #[error("A second person has to approve this launch first.")]
    NotApproved,
    #[error("You approved this launch yourself. Somebody else must approve it, or launch it.")]
    ApprovedByYourself,
    #[error("“{schedule}” would never run: its last date comes before its first. Choose a later last date.")]
    NeverRuns { schedule: String },
    #[error("{0}")]
    Schedule(#[from] schedules::Refused),
    #[error("{0}")]
    Run(#[from] runs::Refused),
}

impl Reason for Refused {}

impl CampaignState {
    pub fn launch(self) -> Result<CampaignState, Refused> {
        match self {
            CampaignState::Draft => Ok(CampaignState::Active),
            CampaignState::Active | CampaignState::Paused => Err(Refused::AlreadyLaunched),
            CampaignState::Stopped => Err(Refused::Stopped),
            CampaignState::Finished => Err(Refused::Finished),
            CampaignState::Archived => Err(Refused::Archived),
        }
    }

    pub fn pause(self) -> Result<CampaignState, Refused> {
        match self {
            CampaignState::Active => Ok(CampaignState::Paused),
            CampaignState::Draft => Err(Refused::IsDraft),
            CampaignState::Paused => Err(Refused::AlreadyPaused),
            CampaignState::Stopped => Err(Refused::Stopped),
            CampaignState::Finished => Err(Refused::Finished),
            CampaignState::Archived => Err(Refused::Archived),
        }
    }

    pub fn resume(self) -> Result<CampaignState, Refused> {
        match self {
            CampaignState::Paused => Ok(CampaignState::Active),
            CampaignState::Draft => Err(Refused::IsDraft),
            CampaignState::Active => Err(Refused::NotPaused),
            CampaignState::Stopped => Err(Refused::Stopped),
            CampaignState::Finished => Err(Refused::Finished),
            CampaignState::Archived => Err(Refused::Archived),
        }
    }

    /// Whether resuming the campaign resumes this schedule. One that was paused by
    /// itself stays so when its campaign goes on; but where the campaign never
    /// stood still, going on can only mean such schedules.
    pub fn resumes(self, schedule: &ScheduleState) -> bool {
        match (self, schedule) {
            (CampaignState::Paused, ScheduleState::Paused { with, .. }) => *with == PausedWith::Campaign,
            (CampaignState::Active, ScheduleState::Paused { .. }) => true,
            (_, ScheduleState::Active | ScheduleState::Stopped | ScheduleState::Finished) => false,
            (CampaignState::Draft | CampaignState::Stopped | CampaignState::Finished | CampaignState::Archived, _) => {
                false
            }
        }
    }

    pub fn stop(self) -> Result<CampaignState, Refused> {
        match self {
            CampaignState::Active | CampaignState::Paused => Ok(CampaignState::Stopped),
            CampaignState::Draft => Err(Refused::IsDraft),
            CampaignState::Stopped => Err(Refused::Stopped),
            CampaignState::Finished => Err(Refused::Finished),
            CampaignState::Archived => Err(Refused::Archived),
        }
    }

    /// The same, where `talks`: a bot of it has open conversations. They are what a stop
    /// of one that has finished ends.
    pub fn stop_with(self, talks: bool) -> Result<CampaignState, Refused> {
        match self {
            CampaignState::Finished | CampaignState::Archived if talks => Ok(CampaignState::Stopped),
            state => state.stop(),
        }
    }

    /// Every run has ended: stopped when all were stopped one by one, finished otherwise.
    pub fn runs_ended(self, all_stopped: bool) -> Result<CampaignState, Refused> {
        match self {
            CampaignState::Active | CampaignState::Paused if all_stopped => Ok(CampaignState::Stopped),
            CampaignState::Active | CampaignState::Paused => Ok(CampaignState::Finished),
            CampaignState::Draft => Err(Refused::IsDraft),
            CampaignState::Stopped => Err(Refused::Stopped),
            CampaignState::Finished => Err(Refused::Finished),
            CampaignState::Archived => Err(Refused::Archived),
        }
    }

    /// One of its runs goes on after all, with more time.
    pub fn extend(self) -> Result<CampaignState, Refused> {
        match self {
            CampaignState::Active | CampaignState::Finished => Ok(CampaignState::Active),
            CampaignState::Paused => Err(Refused::Schedule(schedules::Refused::CampaignPaused)),
            CampaignState::Draft => Err(Refused::IsDraft),
            CampaignState::Stopped => Err(Refused::Stopped),
            CampaignState::Archived => Err(Refused::Archived),
        }
    }

    pub fn archive(self) -> Result<CampaignState, Refused> {
        match self {
            CampaignState::Finished | CampaignState::Stopped => Ok(CampaignState::Archived),
            CampaignState::Draft => Err(Refused::IsDraft),
            CampaignState::Active | CampaignState::Paused => Err(Refused::NotEnded),
            CampaignState::Archived => Err(Refused::Archived),
        }
    }
}

/// Two schedules that serve the same group at the same time, if there are such.
pub fn same_group_twice(schedules: &[Schedule]) -> Option<(&Schedule, &Schedule)> {
    let clash = |one: &Schedule, other: &Schedule| {
        let (a, b) = (&one.plan, &other.plan);
        let same_group =
            a.group.as_deref().zip(b.group.as_deref()).is_some_and(|(one, other)| runs::same_group(one, other));
        same_group && a.when == b.when && a.start == b.start && a.end == b.end
    };
    schedules
        .iter()
        .enumerate()
        .find_map(|(n, one)| schedules[n + 1..].iter().find(|other| clash(one, other)).map(|other| (one, other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_accounts_for_every_state() {
        let verdicts = |verb: fn(CampaignState) -> Result<CampaignState, Refused>| {
            CampaignState::ALL.map(|state| verb(state).map_or("-", CampaignState::word))
        };
        // draft, active, paused, stopped, finished, archived
        assert_eq!(verdicts(CampaignState::launch), ["active", "-", "-", "-", "-", "-"]);
        assert_eq!(verdicts(CampaignState::pause), ["-", "paused", "-", "-", "-", "-"]);
        assert_eq!(verdicts(CampaignState::resume), ["-", "-", "active", "-", "-", "-"]);
        assert_eq!(verdicts(CampaignState::stop), ["-", "stopped", "stopped", "-", "-", "-"]);
        assert_eq!(verdicts(CampaignState::extend), ["-", "active", "-", "-", "active", "-"]);
        assert_eq!(verdicts(CampaignState::archive), ["-", "-", "-", "archived", "archived", "-"]);
        assert_eq!(verdicts(|state| state.runs_ended(false)), ["-", "finished", "finished", "-", "-", "-"]);
        assert_eq!(verdicts(|state| state.runs_ended(true)), ["-", "stopped", "stopped", "-", "-", "-"]);
    }
}
