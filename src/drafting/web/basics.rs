//! Name and time zone.

use chrono_tz::{TZ_VARIANTS, Tz};
use serde::Deserialize;

use crate::campaigns::{Campaign, CampaignKind};
use crate::folding::folded;
use crate::web::FieldErrors;

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct BasicsForm {
    pub name: String,
    /// Empty in a form that does not ask.
    pub kind: String,
    pub time_zone: String,
}

impl BasicsForm {
    pub fn of(campaign: &Campaign) -> Self {
        BasicsForm {
            name: campaign.name.clone(),
            kind: campaign.kind.word().to_owned(),
            time_zone: campaign.zone.name().to_owned(),
        }
    }

    /// `kind`: what it is where the form does not ask.
    pub(super) fn parse(&self, kind: CampaignKind) -> Result<(String, CampaignKind, Tz), FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = folded(&self.name);
        if name.is_empty() {
            errors.add("name", "Give the campaign a name.");
        } else if name.chars().count() > 100 {
            errors.add("name", "At most 100 characters.");
        }
        let kind = match self.kind.as_str() {
            "" => Some(kind),
            // What it is already, or one of those that are drafted step by step.
            word => CampaignKind::of_word(word).filter(|it| *it == kind || KINDS.iter().any(|(known, _)| known == it)),
        };
        if kind.is_none() {
            errors.add("kind", "Choose one of these.");
        }
        let zone = self.time_zone.trim().parse();
        if zone.is_err() {
            errors.add("time_zone", "Choose a time zone from the list, such as Europe/Dublin.");
        }
        match (kind, zone) {
            (Some(kind), Ok(zone)) if errors.is_empty() => Ok((name, kind, zone)),
            _ => Err(errors),
        }
    }
}

/// The kinds that are drafted step by step, each with what it means.
pub const KINDS: [(CampaignKind, &str); 3] = [
    (CampaignKind::OnceOff, "One time, to the contacts of a file or of saved lists."),
    (CampaignKind::Daily, "Each day that you name, to the contacts of the file that is dropped that day."),
    (CampaignKind::Recurring, "Again and again, on weekdays or by a cron expression, to saved lists."),
];

/// All zones, for the list behind the field.
pub fn zones() -> impl Iterator<Item = &'static str> {
    TZ_VARIANTS.iter().map(|zone| zone.name())
}
