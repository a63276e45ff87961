//! How the contacts of a file are split.

use actix_web::web::{Data, Form, Path};
use actix_web::{HttpResponse, post};
use serde::Deserialize;

use super::{Typed, again, facts, problem};
use crate::app::App;
use crate::campaigns::actions;
use crate::campaigns::review::{Contacts, Facts, Group, Groups};
use crate::files::store::MOST_GROUPS;
use crate::ids::CampaignId;
use crate::web::chart::thousands;
use crate::web::{Frame, Manage, May, Problem, see_other};

/// Values that the page lists; a campaign with more has its groups by another way.
const LISTED: usize = 50;

impl Groups {
    pub(super) fn listed(&self) -> &[Group] {
        &self.groups[..self.groups.len().min(LISTED)]
    }

    pub(super) fn more(&self) -> usize {
        self.groups.len().saturating_sub(LISTED)
    }

    /// Who is not sent to, in a sentence; `None` when everybody is.
    pub(super) fn left_out(&self) -> Option<String> {
        let rows = |n: i64| if n == 1 { "1 row has".to_owned() } else { format!("{} rows have", thousands(n)) };
        let unserved = self.unserved();
        let mut sentences = Vec::new();
        if unserved > 0 {
            let first: Vec<String> = self
                .groups
                .iter()
                .filter(|group| group.served_by.is_empty())
                .map(|group| format!("“{}”", group.value))
                .collect();
            let named = match first.as_slice() {
                few if few.len() <= 3 => few.join(", "),
                many => format!("{} and {} more", many[..3].join(", "), many.len() - 3),
            };
            sentences.push(format!("{} a value that no schedule serves: {named}.", rows(unserved)));
        }
        if self.blank > 0 {
            sentences.push(format!("{} nothing in #{}.", rows(self.blank), self.field));
        }
        (!sentences.is_empty())
            .then(|| format!("{} They are not sent to; their outcome is “no group”.", sentences.join(" ")))
    }

    /// To choose from, with how many contacts each has; `typed` stays choosable.
    pub(super) fn options(&self, typed: &str) -> Vec<(String, String)> {
        let mut options: Vec<_> = self
            .groups
            .iter()
            .map(|group| (group.value.clone(), format!("{} ({})", group.value, thousands(group.n))))
            .collect();
        let known = options.iter_mut().find(|(value, _)| crate::runs::same_group(value, typed));
        match known {
            // Spelt as the schedule has it, so that the choice finds it.
            Some((value, _)) => value.replace_range(.., typed),
            None if typed.is_empty() => options.insert(0, (String::new(), "Choose one".to_owned())),
            None => options.insert(0, (typed.to_owned(), format!("{typed} (0)"))),
        }
        options
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct GroupForm {
    group_by: String,
}

#[post("/campaigns/{id}/group")]
pub(super) async fn set_group(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    form: Form<GroupForm>,
) -> Result<HttpResponse, Problem> {
    let (id, field) = (id.into_inner(), form.into_inner().group_by);
    let facts = facts(&app, id, frame.person.id).await?;
    let file = facts.contacts.as_ref().filter(|contacts| contacts.ready()).and_then(Contacts::file);
    let wrong = match file {
        _ if field.is_empty() => None,
        None => Some("Import a file first; then its columns can be chosen.".to_owned()),
        Some(file) if !crate::campaigns::review::data_fields(file).contains(&field) => {
            Some("Choose a column of the file.".to_owned())
        }
        Some(file) => {
            let (file, field) = (file.id, field.clone());
            let counted = app.db.run(move |conn| crate::files::store::counted_groups(conn, file, &field)).await?;
            counted.is_none().then(|| {
                format!(
                    "This column has more than {} different values. Choose one with a few.",
                    thousands(MOST_GROUPS as i64)
                )
            })
        }
    };
    if let Some(wrong) = wrong {
        let typed = |facts: &Facts| Typed { group_by: field, group_error: Some(wrong), ..Typed::nothing(facts) };
        return again(&app, frame, id, typed).await;
    }
    let field = Some(field).filter(|field| !field.is_empty());
    app.db.run(move |conn| actions::set_group_by(conn, id, field.as_deref())).await.map_err(problem)?;
    Ok(see_other(format!("/campaigns/{id}/edit#groups")))
}
