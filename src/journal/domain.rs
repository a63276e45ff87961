use crate::access::Actor;
use crate::ids::CampaignId;
use crate::words::words;

words! {
    /// What can happen: a thing and a verb.
    #[derive(PartialOrd, Ord)]
    pub enum Happened {
        UserAdded = "user.added",
        UserSignedIn = "user.signed_in",
        UserSignInFailed = "user.sign_in_failed",
        UserSignedOut = "user.signed_out",
        UserDisabled = "user.disabled",
        UserEnabled = "user.enabled",
        UserPasswordChanged = "user.password_changed",
        UserEdited = "user.edited",
        UserRoleChanged = "user.role_changed",
        UserAlertsChanged = "user.alerts_changed",
        SettingsChanged = "settings.changed",
        BlackoutAdded = "blackout.added",
        BlackoutRemoved = "blackout.removed",
        ChannelAdded = "channel.added",
        ChannelChanged = "channel.changed",
        ChannelTried = "channel.tried",
        PhoneRuleAdded = "phone_rule.added",
        PhoneRuleChanged = "phone_rule.changed",
        PhoneRuleMoved = "phone_rule.moved",
        PhoneRuleRemoved = "phone_rule.removed",
        PhoneRuleTurnedOff = "phone_rule.turned_off",
        PhoneRuleTurnedOn = "phone_rule.turned_on",
        ContactEdited = "contact.edited",
        AddressBlocked = "address.blocked",
        AddressUnblocked = "address.unblocked",
        ConsentChanged = "consent.changed",
        ConsentReset = "consent.reset",
        FileCancelOrdered = "file.cancel_ordered",
        FileDeleted = "file.deleted",
        FileForgotten = "file.forgotten",
        FileImportEnded = "file.import_ended",
        FileImportOrdered = "file.import_ordered",
        FileImported = "file.imported",
        FileReadAnew = "file.read_anew",
        FileReceived = "file.received",
        FileTwoWaysChosen = "file.two_ways_chosen",
        MediaAdded = "media.added",
        MediaAsked = "media.asked",
        ListCreated = "list.created",
        ListDeleted = "list.deleted",
        ListFilterChanged = "list.filter_changed",
        ListMembersAdded = "list.members_added",
        ListMembersRemoved = "list.members_removed",
        ListRenamed = "list.renamed",
        BotArchived = "bot.archived",
        BotCreated = "bot.created",
        BotPublished = "bot.published",
        BotRenamed = "bot.renamed",
        BotEdited = "bot.edited",
        BotRestored = "bot.restored",
        BotReverted = "bot.reverted",
        CampaignApproved = "campaign.approved",
        CampaignArchived = "campaign.archived",
        CampaignCheckEnded = "campaign.check_ended",
        CampaignCreated = "campaign.created",
        CampaignDiscarded = "campaign.discarded",
        CampaignEdited = "campaign.edited",
        CampaignEnded = "campaign.ended",
        CampaignExtended = "campaign.extended",
        CampaignLaunchTakenBack = "campaign.launch_taken_back",
        CampaignLaunched = "campaign.launched",
        CampaignFileChanged = "campaign.file_changed",
        CampaignListsChanged = "campaign.lists_changed",
        CampaignGroupingChanged = "campaign.grouping_changed",
        CampaignQuietChanged = "campaign.quiet_changed",
        CampaignCheckOrdered = "campaign.check_ordered",
        CampaignMissed = "campaign.missed",
        CampaignPaused = "campaign.paused",
        CampaignResumed = "campaign.resumed",
        CampaignStopped = "campaign.stopped",
        ScheduleAdded = "schedule.added",
        ScheduleEdited = "schedule.edited",
        ScheduleRemoved = "schedule.removed",
        ScheduleExtended = "schedule.extended",
        SchedulePaused = "schedule.paused",
        ScheduleResumed = "schedule.resumed",
        ScheduleSkipped = "schedule.skipped",
        ScheduleStopped = "schedule.stopped",
        ScheduleTested = "schedule.tested",
        RunCanaryPassed = "run.canary_passed",
        RunEnded = "run.ended",
        RunPaused = "run.paused",
        RunResumed = "run.resumed",
        RunStarted = "run.started",
        RunStopped = "run.stopped",
        DailyPlanned = "daily.planned",
        DailyTwoWaysChosen = "daily.two_ways_chosen",
        ColumnsAdded = "columns.added",
        DropAccepted = "drop.accepted",
        DropAllowed = "drop.allowed",
        DropAsked = "drop.asked",
        DropDismissed = "drop.dismissed",
        DropLaunched = "drop.launched",
        DropRefused = "drop.refused",
        ConversationAssigned = "conversation.assigned",
        ConversationBotsLetAnswer = "conversation.bots_let_answer",
        ConversationBlocked = "conversation.blocked",
        ConversationClosed = "conversation.closed",
        ConversationConsentKept = "conversation.consent_kept",
        ConversationLabelled = "conversation.labelled",
        ConversationOptedOut = "conversation.opted_out",
        ConversationReopened = "conversation.reopened",
        ConversationReplied = "conversation.replied",
        ConversationTakenOver = "conversation.taken_over",
        ConversationUnlabelled = "conversation.unlabelled",
        TableExported = "table.exported",
        HistoryLost = "history.lost",
        HistoryReleased = "history.released",
    }
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub happened: Happened,
    /// The campaign whose history it belongs to; `None` for users and channels.
    pub campaign: Option<CampaignId>,
    /// Id of the thing that `happened` names; 0 where there is only one such thing.
    pub subject: i64,
    pub by: Actor,
    pub was: Option<&'a str>,
    pub became: Option<&'a str>,
    pub why: Option<&'a str>,
}

impl<'a> Entry<'a> {
    pub fn new(happened: Happened, subject: impl Into<i64>, by: impl Into<Actor>) -> Self {
        let (subject, by) = (subject.into(), by.into());
        Entry { happened, campaign: None, subject, by, was: None, became: None, why: None }
    }

    /// In the history of this campaign.
    pub fn of(self, campaign: CampaignId) -> Self {
        Entry { campaign: Some(campaign), ..self }
    }

    pub fn was(self, was: &'a str) -> Self {
        Entry { was: Some(was), ..self }
    }

    pub fn became(self, became: &'a str) -> Self {
        Entry { became: Some(became), ..self }
    }

    pub fn why(self, why: &'a str) -> Self {
        self.why_if(Some(why))
    }

    /// Its reason, if there is one worth telling.
    pub fn why_if(self, why: Option<&'a str>) -> Self {
        Entry { why: why.filter(|why| !why.is_empty()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_write_entries_themselves_use_the_same_words() {
        let statements = [
            include_str!("../control/pause_campaigns.sql"),
            include_str!("../control/pause_schedules.sql"),
            include_str!("../control/stop_campaigns.sql"),
            include_str!("../control/stop_schedules.sql"),
            include_str!("../control/stop_runs.sql"),
            include_str!("../control/pause_runs.sql"),
        ];
        for sql in statements {
            let written = sql.split("INSERT INTO journal").nth(1).expect("an entry");
            assert!(Happened::ALL.iter().any(|it| written.contains(&format!("'{}'", it.word()))), "{written}");
        }
    }

    #[test]
    fn an_empty_reason_is_none() {
        assert_eq!(Entry::new(Happened::BotPublished, 1, Actor::Clock).why("").why, None);
    }
}
