//! web: From a run that has ended to a campaign for those whom it did not reach.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpResponse, get, post};
use askama::Template;

use crate::access::Manage;
use crate::app::App;
use crate::db::{DbError, Error};
use crate::deliveries::{Counts, Outcome, counts};
use crate::drafting::rest::{self, Unreached};
use crate::ids::RunId;
use crate::runs::{self, Run};
use crate::web::chart::thousands;
use crate::web::{Frame, May, Problem, page, page_with, see_other};

/// What is chosen from.
struct RestFacts {
    run: Run,
    counts: Counts,
    outcomes: Vec<(Outcome, i64)>,
}

impl RestFacts {
    /// How many stand so; `None` where only looking at each would tell.
    fn n(&self, whom: Unreached) -> Option<i64> {
        let of = |wanted: &[Outcome]| self.outcomes.iter().filter(|it| wanted.contains(&it.0)).map(|it| it.1).sum();
        match whom {
            Unreached::Unsent => Some(self.counts.unsent()),
            Unreached::Failed => Some(self.counts.failed),
            Unreached::LeftOut => Some(of(&[Outcome::FrequencyCap, Outcome::Busy, Outcome::WindowClosed])),
            Unreached::Unconfirmed => Some(self.counts.unconfirmed),
            Unreached::Undelivered => Some(self.counts.accepted),
            Unreached::Silent => None,
        }
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

async fn facts(app: &App, id: RunId) -> Result<RestFacts, Problem> {
    let facts = app.db.look(move |conn| {
        let run = runs::store::find(conn, id)?;
        let counts = counts::counts_of(conn, id)?;
        let outcomes = counts::outcomes(conn, &run, &counts)?;
        Ok::<_, diesel::result::Error>(RestFacts { run, counts, outcomes })
    });
    Ok(facts.await?)
}

#[get("/runs/{id}/rest")]
pub(super) async fn ask(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<RunId>,
) -> Result<HttpResponse, Problem> {
    let facts = facts(&app, *id).await?;
    // Nobody gets it a second time unless somebody says so.
    let sure = [Unreached::Unsent, Unreached::Failed, Unreached::LeftOut].into_iter();
    let chosen = sure.filter(|it| facts.n(*it) != Some(0)).collect();
    page(RestPage { frame, facts, chosen, error: None })
}

#[post("/runs/{id}/rest")]
pub(super) async fn begin(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<RunId>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let given = form.into_inner();
    let chosen: Vec<Unreached> =
        given.iter().filter(|(name, _)| name == "whom").filter_map(|(_, word)| Unreached::of_word(word)).collect();
    let whom = chosen.clone();
    let refused = match chosen.is_empty() {
        true => "Choose who is to get it.".to_owned(),
        false => match app.db.run(move |conn| rest::begin(conn, id, &whom, by, now)).await {
            Ok(campaign) => return Ok(see_other(format!("/campaigns/{campaign}/edit"))),
            Err(DbError::Work(Error::Refused(refused))) => refused.to_string(),
            Err(error) => return Err(error.into()),
        },
    };
    let facts = facts(&app, id).await?;
    page_with(StatusCode::UNPROCESSABLE_ENTITY, RestPage { frame, facts, chosen, error: Some(refused) })
}
