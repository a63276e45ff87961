use chrono_tz::Tz;

use crate::ids::{CampaignId, FileId};
use crate::schedules::{PausedWith, ScheduleState};
use crate::{runs, schedules};

#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    pub id: CampaignId,
    pub name: String,
    /// The dates and times of its schedules are meant there.
    pub zone: Tz,
    pub state: CampaignState,
    pub file_id: Option<FileId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CampaignState {
    Draft,
    Active,
    Paused,
    Stopped,
    Finished,
    Archived,
}

/// Why a campaign stayed as it was. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("The campaign is a draft. Launch it first.")]
    IsDraft,
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
    #[error("The file is not imported yet.")]
    FileNotReady,
    #[error("The file has no usable contact.")]
    NoContacts,
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
    #[error("{0}")]
    Schedule(#[from] schedules::Refused),
    #[error("{0}")]
    Run(#[from] runs::Refused),
}

impl CampaignState {
    pub const ALL: [CampaignState; 6] = [
        CampaignState::Draft,
        CampaignState::Active,
        CampaignState::Paused,
        CampaignState::Stopped,
        CampaignState::Finished,
        CampaignState::Archived,
    ];

    /// The word in the database and in URLs.
    pub fn word(self) -> &'static str {
        match self {
            CampaignState::Draft => "draft",
            CampaignState::Active => "active",
            CampaignState::Paused => "paused",
            CampaignState::Stopped => "stopped",
            CampaignState::Finished => "finished",
            CampaignState::Archived => "archived",
        }
    }

    pub fn of_word(word: &str) -> Option<CampaignState> {
        CampaignState::ALL.into_iter().find(|state| state.word() == word)
    }

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
