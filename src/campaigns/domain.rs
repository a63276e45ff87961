use chrono_tz::Tz;

use crate::db::Reason;
use crate::ids::{CampaignId, FileId};
use crate::settings::Override;
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
    #[error("The campaign has been launched already.")]
    AlreadyLaunched,
    #[error("The campaign is already paused.")]
    AlreadyPaused,
    #[error("The whole campaign is paused. Resume the campaign first.")]
    Paused,
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

    /// Whether one of its schedules may be paused, resumed, stopped or edited by itself.
    pub fn lets_schedules_change(self) -> Result<(), Refused> {
        match self {
            CampaignState::Draft => Err(Refused::IsDraft),
            CampaignState::Stopped => Err(Refused::Stopped),
            CampaignState::Active | CampaignState::Paused | CampaignState::Finished | CampaignState::Archived => Ok(()),
        }
    }

    /// The same where it must not be paused as a whole, either.
    pub fn lets_schedules_go_on(self) -> Result<(), Refused> {
        match self {
            CampaignState::Paused => Err(Refused::Paused),
            state => state.lets_schedules_change(),
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
            CampaignState::Paused => Err(Refused::Paused),
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
