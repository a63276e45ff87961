//! What it comes to, and the launch.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};

use super::{Typed, again, facts, problem};
use crate::app::App;
use crate::campaigns::Refused;
use crate::campaigns::actions::{self, Error};
use crate::campaigns::review::{Facts, Outlook, Review};
use crate::db::DbError;
use crate::files::domain::State;
use crate::ids::CampaignId;
use crate::pacing::{LatePolicy, Rate};
use crate::web::chart::{Timeline, thousands};
use crate::web::{Frame, Manage, May, Problem, page, see_other};

impl Review {
    /// What late start means here, if it would start late.
    pub(super) fn late(&self) -> Option<String> {
        if !self.outlook.late {
            return None;
        }
        let starts = "Its start has passed: launched now, it starts late.";
        Some(match self.schedule.plan.late {
            LatePolicy::CatchUp => {
                format!("{starts} The {} that were due by now leave at once.", thousands(self.outlook.burst))
            }
            LatePolicy::Spread => format!(
                "{starts} All contacts are spread over the time that is left, {} a minute.",
                rate_text(self.outlook.rate)
            ),
            LatePolicy::KeepRate => format!("{starts} It keeps its rate from now on."),
        })
    }

    /// SMS over all contacts, should the others' texts be as long as the first one's.
    pub(super) fn estimate(&self) -> Option<String> {
        let parts = self.segments?.parts as i64;
        let total = thousands(parts * (self.contacts - self.lacking));
        Some(format!("about {total} SMS: {parts} for each of {} contacts", thousands(self.contacts - self.lacking)))
    }

    pub(super) fn unsent(&self) -> Option<String> {
        Some(self.outlook.forecast.unsent).filter(|n| *n > 0).map(thousands)
    }

    pub(super) fn needed(&self) -> String {
        self.needed.iter().map(|field| format!("#{field}")).collect::<Vec<_>>().join(" or ")
    }

    pub(super) fn unknown(&self) -> String {
        self.unknown.iter().map(|field| format!("#{field}")).collect::<Vec<_>>().join(", ")
    }
}

pub(super) fn plan_rate(rate: &Rate) -> String {
    rate.fixed().map_or("auto".to_owned(), rate_text)
}

pub(super) fn rate_text(rate: f64) -> String {
    format!("{}", (rate * 100.0).round() / 100.0)
}

impl Facts {
    pub(super) fn timeline(&self, review: &Review) -> Timeline {
        let Outlook { window, forecast, .. } = &review.outlook;
        Timeline::of(forecast, window, self.campaign.zone, &[], &[])
    }

    pub(super) fn ready(&self) -> bool {
        self.obstacles.is_empty()
    }

    /// The file may still become ready, so the review asks again.
    pub(super) fn file_is_on_its_way(&self) -> bool {
        self.contacts.as_ref().is_some_and(|contacts| match contacts.look.file.state {
            State::Received | State::Importing { .. } => true,
            State::Imported { .. } | State::Refused { .. } | State::Cancelled { .. } => false,
        })
    }

    /// Where an obstacle is taken out of the way.
    pub(super) fn place(&self, obstacle: &Refused) -> &'static str {
        match obstacle {
            Refused::NoFile | Refused::FileNotReady | Refused::NoContacts => "contacts",
            Refused::NoSchedules
            | Refused::WindowPassed { .. }
            | Refused::EmptyWindow { .. }
            | Refused::OtherKind { .. } => "schedules",
            _ => "basics",
        }
    }

    pub(super) fn when(&self, outlook: &Outlook) -> String {
        let local = |at: DateTime<Utc>| at.with_timezone(&self.campaign.zone);
        let (starts, ends) = (local(outlook.window.starts), local(outlook.window.ends));
        let end = if starts.date_naive() == ends.date_naive() { "%H:%M" } else { "%-d %B, %H:%M" };
        format!("{} to {} ({})", starts.format("%-d %B %Y, %H:%M"), ends.format(end), self.campaign.zone)
    }

    pub(super) fn finish(&self, outlook: &Outlook) -> Option<String> {
        let at = outlook.forecast.finishes?.with_timezone(&self.campaign.zone);
        Some(at.format("%-d %B, %H:%M:%S").to_string())
    }
}

/// The part of `edit.html` that changes while the file is being imported.
#[derive(Template)]
#[template(path = "campaigns/edit.html", block = "review")]
struct Reviewed {
    facts: Facts,
    typed: Typed,
}

#[get("/campaigns/{id}/review")]
pub(super) async fn review_again(
    may: May<Manage>,
    app: Data<App>,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let facts = facts(&app, id.into_inner(), may.person.id).await?;
    let typed = Typed::nothing(&facts.campaign);
    page(Reviewed { facts, typed })
}

#[post("/campaigns/{id}/launch")]
pub(super) async fn launch(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    match app.db.run(move |conn| actions::launch(conn, id, by, now)).await {
        Ok(()) => Ok(see_other(format!("/campaigns?open={id}"))),
        // Pressed twice: it is where one wants it.
        Err(DbError::Work(Error::Refused(Refused::AlreadyLaunched))) => Ok(see_other(format!("/campaigns?open={id}"))),
        Err(DbError::Work(Error::Refused(refused))) => {
            let why = refused.to_string();
            again(&app, frame, id, |facts| Typed { launch_error: Some(why), ..Typed::nothing(&facts.campaign) }).await
        }
        Err(error) => Err(problem(error)),
    }
}

#[post("/campaigns/{id}/discard")]
pub(super) async fn discard(may: May<Manage>, app: Data<App>, id: Path<CampaignId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::discard(conn, id, by, now)).await.map_err(problem)?;
    Ok(see_other("/campaigns"))
}
