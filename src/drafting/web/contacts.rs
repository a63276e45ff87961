//! Whom it goes to.

use actix_web::middleware::from_fn;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpResponse, post};
use askama::Template;

use crate::access::Manage;
use crate::app::App;
use crate::campaigns::Freeze;
use crate::campaigns::store::Lists;
use crate::drafting::audience;
use crate::drafting::review::{self, ListChoice};
use crate::ids::{CampaignId, ListId};
use crate::lists;
use crate::web::chart::thousands;
use crate::web::{May, Problem, in_turn, page};

// Lists

/// Which lists are ticked, as typed.
#[derive(Clone, Debug, Default)]
pub struct ListsForm {
    pub chosen: Lists,
    pub freeze: String,
}

impl ListsForm {
    pub fn of(chosen: &Lists, freeze: Freeze) -> Self {
        ListsForm { chosen: chosen.clone(), freeze: freeze.word().to_owned() }
    }

    /// A box that is ticked is sent as a pair of its own.
    pub(super) fn read(pairs: Vec<(String, String)>) -> Self {
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

    pub fn includes(&self, list: &ListId) -> bool {
        self.chosen.include.contains(list)
    }

    pub fn excludes(&self, list: &ListId) -> bool {
        self.chosen.exclude.contains(list)
    }

    pub fn is_frozen_at(&self, freeze: &Freeze) -> bool {
        self.freeze == freeze.word() || (self.freeze.is_empty() && *freeze == Freeze::default())
    }

    /// What is wrong with it, in words.
    pub(super) fn wrong(&self, choice: &ListChoice) -> Option<String> {
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

impl ListChoice {
    /// Members of a list, counted so far as it is of use.
    pub fn n(&self, n: &i64) -> String {
        match *n >= audience::COUNTED {
            true => format!("{} or more", thousands(audience::COUNTED)),
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

pub fn total(n: i64) -> String {
    if n == 1 { "1 contact".to_owned() } else { format!("{} contacts", thousands(n)) }
}

#[post("/campaigns/{id}/lists/count", wrap = "from_fn(in_turn)")]
pub async fn count_lists(
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
