//! Whom it goes to.

use actix_web::middleware::from_fn;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpResponse, post};
use askama::Template;

use super::{Typed, again, problem};
use crate::app::App;
use crate::campaigns::review::{self, Choice};
use crate::campaigns::store::Lists;
use crate::campaigns::{CampaignState, Freeze, Refused, actions, store};
use crate::channels::Kind;
use crate::files::upload;
use crate::ids::{CampaignId, ListId};
use crate::lists;
use crate::web::chart::thousands;
use crate::web::{Frame, Incoming, Manage, May, Problem, in_turn, page, see_other};

/// Takes in the file. A form with `kind` in it says what the addresses are.
#[post("/campaigns/{id}/file")]
pub(super) async fn upload_file(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    form: Incoming,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    // Asked before the upload, so that nothing is stored for a campaign that cannot have it.
    if app.db.run(move |conn| store::find(conn, id)).await?.state != CampaignState::Draft {
        return Err(Problem::Conflict(Refused::AlreadyLaunched.to_string()));
    }
    let received = match upload::Form::read(form, &["kind"]).await {
        Ok(form) => {
            let kind = Kind::of_word(&form.texts.text("kind")).unwrap_or(Kind::Sms);
            form.keep(&app, kind, by, now).await
        }
        Err(failed) => Err(failed),
    };
    match received {
        Ok(file) => {
            app.db.run(move |conn| actions::set_file(conn, id, Some(file))).await.map_err(problem)?;
            Ok(see_other(format!("/campaigns/{id}/edit#contacts")))
        }
        Err(upload::Failed::Refused(refusal)) => {
            let why = refusal.to_string();
            again(&app, frame, id, |facts| Typed { file_error: Some(why), ..Typed::nothing(facts) }).await
        }
        Err(failed) => Err(failed.into()),
    }
}

#[post("/campaigns/{id}/file/remove")]
pub(super) async fn leave_file(
    _may: May<Manage>,
    app: Data<App>,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    app.db.run(move |conn| actions::set_file(conn, id, None)).await.map_err(problem)?;
    Ok(see_other(format!("/campaigns/{id}/edit#contacts")))
}

// Lists

/// Which lists are ticked, as typed.
#[derive(Clone, Debug, Default)]
pub(super) struct ListsForm {
    pub(super) chosen: Lists,
    pub(super) freeze: String,
}

impl ListsForm {
    pub(super) fn of(chosen: &Lists, freeze: Freeze) -> Self {
        ListsForm { chosen: chosen.clone(), freeze: freeze.word().to_owned() }
    }

    /// A box that is ticked is sent as a pair of its own.
    fn read(pairs: Vec<(String, String)>) -> Self {
        let mut form = ListsForm::default();
        for (field, value) in pairs {
            match (field.as_str(), value.parse().map(ListId)) {
                ("include", Ok(list)) => form.chosen.include.push(list),
                ("exclude", Ok(list)) => form.chosen.exclude.push(list),
                ("freeze", _) => form.freeze = value,
                _ => {}
            }
        }
        form
    }

    pub(super) fn includes(&self, list: &ListId) -> bool {
        self.chosen.include.contains(list)
    }

    pub(super) fn excludes(&self, list: &ListId) -> bool {
        self.chosen.exclude.contains(list)
    }

    pub(super) fn is_frozen_at(&self, freeze: &Freeze) -> bool {
        self.freeze == freeze.word() || (self.freeze.is_empty() && *freeze == Freeze::default())
    }

    /// What is wrong with it, in words.
    fn wrong(&self, choice: &Choice) -> Option<String> {
        let known = |id: &ListId| choice.all.iter().map(|(list, _)| list).find(|list| list.id == *id);
        if self.chosen.include.iter().chain(&self.chosen.exclude).any(|id| known(id).is_none()) {
            return Some("One of these lists is gone. Choose again.".to_owned());
        }
        let include: Vec<_> = self.chosen.include.iter().filter_map(known).collect();
        if let Some(both) = include.iter().find(|list| self.chosen.exclude.contains(&list.id)) {
            return Some(format!("“{}” cannot be sent to and left out. Choose one.", both.name));
        }
        match include.first() {
            None => Some("Choose at least one list to send to.".to_owned()),
            Some(first) if include.iter().any(|list| list.kind != first.kind) => {
                Some("These lists hold addresses of several kinds. Choose lists of one kind.".to_owned())
            }
            Some(_) => None,
        }
    }
}

impl Choice {
    /// Members of a list, counted so far as it is of use.
    pub(super) fn n(&self, n: &i64) -> String {
        match *n >= review::COUNTED {
            true => format!("{} or more", thousands(review::COUNTED)),
            false => thousands(*n),
        }
    }
}

/// How many contacts the ticked lists make together.
#[derive(Template)]
#[template(path = "campaigns/drafting/_total.html")]
struct Total {
    total: String,
}

pub(super) fn total(n: i64) -> String {
    if n == 1 { "1 contact".to_owned() } else { format!("{} contacts", thousands(n)) }
}

#[post("/campaigns/{id}/lists")]
pub(super) async fn set_lists(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    let (id, form) = (id.into_inner(), ListsForm::read(form.into_inner()));
    let choice = super::facts(&app, id, frame.person.id).await?.lists;
    let freeze = Freeze::of_word(&form.freeze).unwrap_or_default();
    if let Some(wrong) = form.wrong(&choice) {
        let typed = |facts: &review::Facts| Typed { lists: form, lists_error: Some(wrong), ..Typed::nothing(facts) };
        return again(&app, frame, id, typed).await;
    }
    app.db.run(move |conn| actions::set_lists(conn, id, &form.chosen, freeze)).await.map_err(problem)?;
    Ok(see_other(format!("/campaigns/{id}/edit#contacts")))
}

#[post("/campaigns/{id}/lists/count", wrap = "from_fn(in_turn)")]
pub(super) async fn count_lists(
    _may: May<Manage>,
    app: Data<App>,
    _id: Path<CampaignId>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    let Lists { include, exclude } = ListsForm::read(form.into_inner()).chosen;
    let n = app
        .db
        .run(move |conn| {
            // One that is gone meanwhile is told when the form is saved.
            let all = lists::store::all(conn)?;
            let known = |mut ids: Vec<ListId>| {
                ids.retain(|id| all.iter().any(|list| list.id == *id));
                ids
            };
            review::count(conn, &known(include), &known(exclude))
        })
        .await?;
    page(Total { total: total(n) })
}
