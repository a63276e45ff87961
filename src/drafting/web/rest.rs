//! web: From runs that have ended to a campaign for those whom they did not reach.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::NaiveDate;
use diesel::{PgConnection, QueryResult};
use serde::Deserialize;

use crate::access::Manage;
use crate::app::App;
use crate::campaigns::{self, CampaignKind};
use crate::db::{DbError, Error};
use crate::deliveries::{Counts, Outcome, counts};
use crate::drafting::rest::{self, Unreached};
use crate::ids::{CampaignId, RunId};
use crate::runs::{self, Run};
use crate::web::chart::thousands;
use crate::web::{Frame, May, Problem, page, page_with, see_other};

/// Which runs are meant.
#[derive(Clone, Copy)]
enum Of {
    Run(RunId),
    /// Those of a day, or those that its kind suggests: the last day of what comes again, and else all.
    Campaign(CampaignId, Option<NaiveDate>),
}

/// A run with how its contacts stand.
struct RunFacts {
    run: Run,
    counts: Counts,
    outcomes: Vec<(Outcome, i64)>,
}

/// What is chosen from.
struct RestFacts {
    of: Of,
    campaign: CampaignId,
    /// What it is the rest of.
    name: String,
    runs: Vec<RunFacts>,
    /// The day that is meant, and the days on which the campaign ran.
    day: Option<NaiveDate>,
    days: Vec<NaiveDate>,
}

impl RestFacts {
    /// How many stand so; `None` where only looking at each would tell.
    fn n(&self, whom: Unreached) -> Option<i64> {
        let all = |of: fn(&Counts) -> i64| Some(self.runs.iter().map(|it| of(&it.counts)).sum());
        let left_out = [Outcome::FrequencyCap, Outcome::Busy, Outcome::WindowClosed];
        match whom {
            Unreached::Unsent => all(Counts::unsent),
            Unreached::Failed => all(|it| it.failed),
            Unreached::LeftOut => {
                let outcomes = self.runs.iter().flat_map(|it| &it.outcomes);
                Some(outcomes.filter(|it| left_out.contains(&it.0)).map(|it| it.1).sum())
            }
            Unreached::Unconfirmed => all(|it| it.unconfirmed),
            Unreached::Undelivered => all(|it| it.accepted),
            Unreached::Silent => None,
        }
    }

    fn goes_on(&self) -> Option<&Run> {
        self.runs.iter().map(|it| &it.run).find(|run| !run.state.has_ended())
    }

    fn action(&self) -> String {
        match self.of {
            Of::Run(run) => format!("/runs/{run}/rest"),
            Of::Campaign(campaign, _) => format!("/campaigns/{campaign}/rest{}", self.query()),
        }
    }

    fn is_of(&self, day: &NaiveDate) -> bool {
        self.day.as_ref() == Some(day)
    }

    fn query(&self) -> String {
        self.day.map(|day| format!("?day={day}")).unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "deliveries/rest.html")]
struct RestPage {
    frame: Frame,
    facts: RestFacts,
    chosen: Vec<Unreached>,
    error: Option<String>,
}

impl RestPage {
    /// Who can be chosen, with how many they are.
    fn choices(&self) -> Vec<(Unreached, Option<String>)> {
        let all = Unreached::ALL.into_iter().map(|it| (it, self.facts.n(it)));
        all.filter(|(_, n)| *n != Some(0)).map(|(it, n)| (it, n.map(thousands))).collect()
    }
}

/// A campaign and those of its runs that are meant, with their day and all days.
type Meant = (CampaignId, Vec<Run>, Option<NaiveDate>, Vec<NaiveDate>);

fn runs_of(conn: &mut PgConnection, of: Of) -> QueryResult<Meant> {
    match of {
        Of::Run(run) => {
            let run = runs::store::find(conn, run)?;
            Ok((run.campaign_id, vec![run], None, Vec::new()))
        }
        Of::Campaign(id, day) => {
            let campaign = campaigns::store::find(conn, id)?;
            let mut runs = runs::store::of_campaign(conn, id)?;
            let day_of = |run: &Run| run.window.starts.with_timezone(&campaign.zone).date_naive();
            let mut days: Vec<NaiveDate> = runs.iter().map(day_of).collect();
            days.sort_unstable();
            days.dedup();
            days.reverse();
            let comes_again = matches!(campaign.kind, CampaignKind::Daily | CampaignKind::Recurring);
            let day = day.or_else(|| days.first().copied().filter(|_| comes_again));
            runs.retain(|run| day.is_none_or(|day| day_of(run) == day));
            Ok((id, runs, day, days))
        }
    }
}

async fn facts(app: &App, of: Of) -> Result<RestFacts, Problem> {
    let facts = app.db.look(move |conn| {
        let (campaign, found, day, days) = runs_of(conn, of)?;
        let mut runs = Vec::new();
        for run in found {
            let counts = counts::counts_of(conn, run.id)?;
            let outcomes = counts::outcomes(conn, &run, &counts)?;
            runs.push(RunFacts { run, counts, outcomes });
        }
        let name = match (of, runs.first()) {
            (Of::Run(_), Some(it)) => it.run.name.clone(),
            _ => campaigns::store::find(conn, campaign)?.name,
        };
        Ok::<_, diesel::result::Error>(RestFacts { of, campaign, name, runs, day, days })
    });
    Ok(facts.await?)
}

async fn asked(app: &App, frame: Frame, of: Of) -> Result<HttpResponse, Problem> {
    let facts = facts(app, of).await?;
    // Nobody gets it a second time unless somebody says so.
    let sure = [Unreached::Unsent, Unreached::Failed, Unreached::LeftOut].into_iter();
    let chosen = sure.filter(|it| facts.n(*it) != Some(0)).collect();
    page(RestPage { frame, facts, chosen, error: None })
}

async fn begun(
    app: &App,
    may: May<Manage>,
    frame: Frame,
    of: Of,
    given: Vec<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    let chosen: Vec<Unreached> =
        given.iter().filter(|(name, _)| name == "whom").filter_map(|(_, word)| Unreached::of_word(word)).collect();
    let whom = chosen.clone();
    let made = app.db.run(move |conn| {
        let runs: Vec<RunId> = runs_of(conn, of)?.1.into_iter().map(|run| run.id).collect();
        rest::begin(conn, &runs, &whom, by, now)
    });
    let refused = match chosen.is_empty() {
        true => "Choose who is to get it.".to_owned(),
        false => match made.await {
            Ok(campaign) => return Ok(see_other(format!("/campaigns/{campaign}/edit"))),
            Err(DbError::Work(Error::Refused(refused))) => refused.to_string(),
            Err(error) => return Err(error.into()),
        },
    };
    let facts = facts(app, of).await?;
    page_with(StatusCode::UNPROCESSABLE_ENTITY, RestPage { frame, facts, chosen, error: Some(refused) })
}

#[get("/runs/{id}/rest")]
pub(super) async fn ask(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<RunId>,
) -> Result<HttpResponse, Problem> {
    asked(&app, frame, Of::Run(*id)).await
}

#[post("/runs/{id}/rest")]
pub(super) async fn begin(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<RunId>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    begun(&app, may, frame, Of::Run(*id), form.into_inner()).await
}

#[derive(Deserialize)]
pub(super) struct OfDay {
    day: Option<NaiveDate>,
}

#[get("/campaigns/{id}/rest")]
pub(super) async fn ask_of_campaign(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    of: Query<OfDay>,
) -> Result<HttpResponse, Problem> {
    asked(&app, frame, Of::Campaign(*id, of.day)).await
}

/// One draft over all runs of a campaign, or over those of a day.
#[post("/campaigns/{id}/rest")]
pub(super) async fn begin_of_campaign(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    of: Query<OfDay>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    begun(&app, may, frame, Of::Campaign(*id, of.day), form.into_inner()).await
}
