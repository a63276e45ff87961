use crate::campaigns;
use crate::db::Reason;
use crate::files::store::MOST_GROUPS;
use crate::web::chart::thousands;

/// Why a draft cannot be changed or launched. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Campaign(#[from] campaigns::Refused),
    #[error("Import a file first; then its columns can be chosen.")]
    ImportFirst,
    #[error("Choose a column of the file.")]
    NotAColumn,
    #[error("This column has more than {} different values. Choose one with a few.", thousands(MOST_GROUPS as i64))]
    TooManyGroups,
    #[error("Another schedule of this campaign has this name.")]
    ScheduleNameTaken,
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
    #[error("“{by}” goes to those whom “{name}” cannot reach. Change or remove that first.")]
    FollowedBy { name: String, by: String },
    #[error(
        "The text of “{schedule}” is {n} characters long for the first contacts; {channel} carries {most} and refuses more. Make it shorter."
    )]
    TooLong { schedule: String, n: usize, channel: String, most: usize },
    #[error("“{schedule}” goes to those whom another schedule cannot reach, and {why}.")]
    FollowsBadly { schedule: String, why: &'static str },
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
    #[error("“{schedule}”: {why}")]
    Template { schedule: String, why: String },
    #[error("The campaign was changed while you looked at it. Look at it again, then decide.")]
    ChangedMeanwhile,
    #[error("A second person has to approve this launch first.")]
    NotApproved,
    #[error("{0} Say yes to it below, or change the schedule.")]
    NotAgreed(String),
    #[error("You approved this launch yourself. Somebody else must approve it, or launch it.")]
    ApprovedByYourself,
    #[error("{run} is not over. Whom it has not reached, it may still reach.")]
    RunGoesOn { run: String },
    #[error("Nobody stands so, or another run has reached them.")]
    NobodyLeft,
    #[error("Choose the day on which “{schedule}” is sent.")]
    NoDay { schedule: String },
    #[error(
        "“{schedule}” would reach nobody: none of its {} contacts has written within 24 hours, and nothing else is taken by \
         its channel.",
        thousands(*n)
    )]
    NobodyWrote { schedule: String, n: i64 },
    #[error("“{schedule}” would never run: its last date comes before its first. Choose a later last date.")]
    NeverRuns { schedule: String },
}

impl Reason for Refused {}
