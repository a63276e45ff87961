//! What a text comes to, as it is typed.

use actix_web::middleware::from_fn;
use actix_web::web::{Data, Form};
use actix_web::{HttpResponse, post};
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use crate::access::Manage;
use crate::app::App;
use crate::drafting::audience::{self, Contacts};
use crate::ids::{CampaignId, UserId};
use crate::providers::Kind;
use crate::web::chart::thousands;
use crate::web::{May, Problem, in_turn, page, reckon};
use crate::wording::{Segments, Template as Text, segments};

/// Bytes that are measured while they are typed.
const MOST: usize = 16 << 10;

/// Contacts that one can step through, the first ones.
const STEPS: i32 = 20;

/// What a text comes to.
pub struct Measured {
    /// Nothing is counted in SMS for another kind of channel.
    pub is_sms: bool,
    pub characters: usize,
    pub segments: Segments,
    /// Which contact it is counted for, the first is 1.
    pub row: i32,
    /// As that contact gets it; without it the text is counted with its fields unfilled.
    pub text: Option<String>,
    /// Look like fields and are none.
    pub unknown: Vec<String>,
    /// A field without fallback that the contact lacks.
    pub missing: Option<String>,
}

impl Measured {
    pub fn of(body: &str, contacts: Option<&Contacts>) -> Self {
        Measured::for_contact(body, contacts, 1, contacts.and_then(Contacts::first))
    }

    /// The same with its fields unfilled.
    pub fn unfilled(body: &str, contacts: Option<&Contacts>) -> Self {
        Measured::for_contact(body, contacts, 1, None)
    }

    /// `values`: those of the contact `row`.
    fn for_contact(body: &str, contacts: Option<&Contacts>, row: i32, values: Option<&Value>) -> Self {
        let body = body.replace("\r\n", "\n");
        let fields = contacts.map(|contacts| contacts.fields.as_slice()).unwrap_or_default();
        let text = Text::parse(&body, fields);
        let rendered = values.and_then(Value::as_object).map(|values| text.render(values));
        let missing = match &rendered {
            Some(Err(missing)) => Some(missing.field.clone()),
            Some(Ok(_)) | None => None,
        };
        let filled = rendered.and_then(Result::ok);
        let whole = filled.as_deref().unwrap_or(&body);
        let (characters, segments) = (whole.chars().count(), segments(whole));
        Measured {
            is_sms: contacts.is_none_or(|contacts| contacts.kind == Kind::Sms),
            characters,
            segments,
            row,
            text: filled,
            unknown: text.unknown().to_vec(),
            missing,
        }
    }

    /// Whose text it is.
    pub fn who(&self) -> String {
        if self.row == 1 { "the first contact".to_owned() } else { format!("contact {}", self.row) }
    }

    /// The contact before this one, if there is one to step to.
    pub fn back(&self) -> Option<i32> {
        (self.row > 1).then(|| self.row - 1)
    }

    /// The contact after this one; past the last of them comes the first.
    pub fn next(&self) -> Option<i32> {
        (self.row < STEPS).then(|| self.row + 1)
    }

    pub fn n_sms(&self) -> String {
        match self.segments.parts {
            1 => "1 SMS".to_owned(),
            n => format!("{n} SMS"),
        }
    }
}

/// What stands below the text and follows it as it is typed.
#[derive(Template)]
#[template(path = "campaigns/_measure.html")]
struct MeasuredPart {
    measured: Option<Measured>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MeasureForm {
    body: String,
    campaign: Option<CampaignId>,
    /// The group that is served, where there are groups.
    group: String,
    /// The contact that it is shown for.
    row: String,
}

/// Changes nothing; it is a POST because texts are longer than addresses may be.
#[post("/wording/measure", wrap = "from_fn(in_turn)")]
pub async fn measure(may: May<Manage>, app: Data<App>, form: Form<MeasureForm>) -> Result<HttpResponse, Problem> {
    let (MeasureForm { body, campaign, group, row }, by) = (form.into_inner(), may.person.id);
    let asked = row.trim().parse::<i32>().unwrap_or(1).clamp(1, STEPS);
    let found = match campaign {
        Some(campaign) => app.db.run(move |conn| look(conn, campaign, by, &group, asked)).await?,
        None => None,
    };
    if body.len() > MOST {
        return Err(Problem::Invalid(format!(
            "At most {} characters are counted as they are typed",
            thousands(MOST as i64)
        )));
    }
    let measured = reckon(&app, move || match &found {
        Some((contacts, row, values)) => Measured::for_contact(&body, Some(contacts), *row, values.as_ref()),
        None => Measured::of(&body, None),
    });
    page(MeasuredPart { measured: Some(measured.await?) })
}

/// The contacts of a draft, and the values of one of them: of the first where there are not so many.
fn look(
    conn: &mut diesel::PgConnection,
    campaign: CampaignId,
    by: UserId,
    group: &str,
    row: i32,
) -> diesel::QueryResult<Option<(Contacts, i32, Option<Value>)>> {
    let Some(contacts) = audience::contacts_of(conn, campaign, by)? else { return Ok(None) };
    let found = match audience::nth_contact(conn, campaign, &contacts, group, row)? {
        None if row > 1 => (1, audience::nth_contact(conn, campaign, &contacts, group, 1)?),
        found => (row, found),
    };
    Ok(Some((contacts, found.0, found.1)))
}
