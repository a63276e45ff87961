//! web: The bar of a campaign and of a schedule: what is told again while somebody looks on.

use std::borrow::Borrow;

use askama::Template;
use chrono::{DateTime, Utc};

use crate::campaigns::Campaign;
use crate::deliveries::Counts;
use crate::ids::RunId;
use crate::screen::domain::{EarlierRun, Moment, Outlook, ScheduleLine, Sheet};
use crate::web::chart::thousands;

/// Bar, numbers and outlook. It holds no button and nothing about a contact, so
/// the same text goes to everybody who looks.
#[derive(Template)]
#[template(path = "campaigns/_progress.html")]
pub struct Progress {
    pub id: String,
    pub counts: Counts,
    /// Whose ledger the numbers lead to; `None` when there are several.
    pub run: Option<RunId>,
    pub outlook: Outlook,
    /// In no group that a schedule sends to: how many, and whose ledger has them.
    pub no_group: Option<(i64, RunId)>,
    /// Conversations, where bots talk.
    pub talks: Option<String>,
    /// Why nothing leaves though it should.
    pub trouble: Option<String>,
    pub now: DateTime<Utc>,
    pub zone: chrono_tz::Tz,
    /// Whether each number is shown with its name.
    pub in_full: bool,
}

pub struct CampaignProgress;

pub struct ScheduleProgress;

/// Of an earlier run that goes on beside the newest of its schedule.
pub struct RunProgress;

impl CampaignProgress {
    pub fn of(sheet: &Sheet, now: DateTime<Utc>) -> Progress {
        let mut runs = sheet.runs();
        let run = runs.next().map(|run| run.id).filter(|_| runs.next().is_none());
        let in_no_group =
            |line: &ScheduleLine| Some((line.counts.no_group, line.run.as_ref()?.id)).filter(|(n, _)| *n > 0);
        Progress {
            id: format!("campaign-{}-progress", sheet.campaign.id),
            counts: sheet.counts(),
            run,
            no_group: sheet.lines.iter().find_map(in_no_group),
            outlook: sheet.outlook(now),
            talks: sheet
                .has_bot()
                .then_some(sheet.talks)
                .filter(|it| sheet.is_inbound() || 0 < it.open)
                .map(|it| it.words()),
            trouble: sheet.trouble_now(),
            now,
            zone: sheet.campaign.zone,
            in_full: false,
        }
    }
}

impl ScheduleProgress {
    pub fn of(line: &ScheduleLine, campaign: &Campaign, now: DateTime<Utc>) -> Progress {
        Progress {
            id: format!("schedule-{}-progress", line.schedule.id),
            counts: line.counts,
            run: line.run.as_ref().map(|run| run.id),
            no_group: None,
            outlook: line.outlook(now),
            talks: None,
            trouble: line.trouble_now(),
            now,
            zone: campaign.zone,
            in_full: true,
        }
    }
}

impl RunProgress {
    pub fn of(earlier: &EarlierRun, campaign: &Campaign, now: DateTime<Utc>) -> Progress {
        Progress {
            id: format!("run-{}-progress", earlier.run.id),
            counts: earlier.counts,
            run: Some(earlier.run.id),
            no_group: None,
            outlook: crate::screen::domain::outlook([(&earlier.run, &earlier.holds)].into_iter(), now),
            talks: None,
            trouble: None,
            now,
            zone: campaign.zone,
            in_full: true,
        }
    }
}

impl Progress {
    fn part(&self, n: impl Borrow<i64>) -> f64 {
        let n = *n.borrow();
        if self.counts.audience == 0 { 0.0 } else { (n as f64 * 1000.0 / self.counts.audience as f64).round() / 10.0 }
    }

    fn n(&self, n: impl Borrow<i64>) -> String {
        thousands(*n.borrow())
    }

    fn moment(&self, at: impl Borrow<DateTime<Utc>>) -> Moment {
        crate::screen::domain::moment(*at.borrow(), self.zone, self.now)
    }

    /// Numbers worth a link, by the word that the ledger knows them under.
    fn numbers(&self) -> Vec<(&'static str, &'static str, i64)> {
        let c = &self.counts;
        let all = [
            ("sent", "sent", c.sent()),
            ("failed", "failed", c.failed),
            ("skipped", "skipped", c.skipped),
            ("unconfirmed", "unconfirmed", c.unconfirmed),
            ("in-flight", "in flight", c.in_flight()),
            ("unsent", "unsent", c.unsent()),
        ];
        all.into_iter().filter(|(word, _, n)| *n > 0 || *word == "sent").collect()
    }
}
