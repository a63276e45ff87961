//! Names for numbers, so that an id of one thing cannot stand in for another.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    UserId,
    ChannelId,
    ContactId,
    ListId,
    BotId,
    FileId,
    DropId,
    CampaignId,
    ScheduleId,
    RunId,
    LeaseId,
    ConversationId,
    MessageId,
    VisitorId,
}
