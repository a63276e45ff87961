//! The quiet hours of one campaign.

use crate::drafting::review::Facts;
use crate::settings::QuietChoice;
use crate::settings::domain::hours;

impl Facts {
    /// What the installation says: `21:00–08:00`, or `none`.
    pub fn house_hours(&self) -> String {
        hours(self.house.quiet)
    }

    /// What holds for this campaign, in a few words.
    pub fn quiet_words(&self) -> String {
        let blackouts = if self.quiet.blackouts_apply { "" } else { "; blackout dates do not apply" };
        match self.quiet.quiet {
            QuietChoice::Inherit => format!("{}, as everywhere{blackouts}", self.house_hours()),
            QuietChoice::None => format!("none{blackouts}"),
            QuietChoice::Own(quiet) => format!("{}, its own{blackouts}", hours(Some(quiet))),
        }
    }
}
