//! What a text comes to, as it is typed.

use actix_web::middleware::from_fn;
use actix_web::web::{Data, Form};
use actix_web::{HttpResponse, post};
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use crate::access::Manage;
use crate::app::App;
use crate::drafting::audience::Contacts;
use crate::ids::CampaignId;
use crate::providers::Kind;
use crate::web::chart::thousands;
use crate::web::{May, Problem, in_turn, page, reckon};
use crate::wording::{Segments, Template as Text, segments};

/// Bytes that are measured while they are typed.
const MOST: usize = 16 << 10;

/// What a text comes to.
pub struct Measured {
    /// Nothing is counted in SMS for another kind of channel.
    pub is_sms: bool,
    pub characters: usize,
    pub segments: Segments,
    /// Counted as the first contact gets it; otherwise with the fields unfilled.
    pub filled: bool,
    /// Look like fields and are none.
    pub unknown: Vec<String>,
    /// A field without fallback that the first contact lacks.
    pub missing: Option<String>,
}

impl Measured {
    pub fn of(body: &str, contacts: Option<&Contacts>) -> Self {
        let body = body.replace("\r\n", "\n");
        let fields = contacts.map(|contacts| contacts.fields.as_slice()).unwrap_or_default();
        let text = Text::parse(&body, fields);
        let values = contacts.and_then(Contacts::first).and_then(Value::as_object);
        let rendered = values.map(|values| text.render(values));
        let missing = match &rendered {
            Some(Err(missing)) => Some(missing.field.clone()),
            Some(Ok(_)) | None => None,
        };
        let filled = rendered.and_then(Result::ok);
        let whole = filled.as_deref().unwrap_or(&body);
        Measured {
            is_sms: contacts.is_none_or(|contacts| contacts.kind == Kind::Sms),
            characters: whole.chars().count(),
            segments: segments(whole),
            filled: filled.is_some(),
            unknown: text.unknown().to_vec(),
            missing,
        }
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
}

/// Changes nothing; it is a POST because texts are longer than addresses may be.
#[post("/wording/measure", wrap = "from_fn(in_turn)")]
pub async fn measure(may: May<Manage>, app: Data<App>, form: Form<MeasureForm>) -> Result<HttpResponse, Problem> {
    let (MeasureForm { body, campaign }, by) = (form.into_inner(), may.person.id);
    let contacts = match campaign {
        Some(campaign) => app.db.run(move |conn| crate::drafting::audience::contacts_of(conn, campaign, by)).await?,
        None => None,
    };
    if body.len() > MOST {
        return Err(Problem::Invalid(format!(
            "At most {} characters are counted as they are typed",
            thousands(MOST as i64)
        )));
    }
    let measured = reckon(&app, move || Measured::of(&body, contacts.as_ref())).await?;
    page(MeasuredPart { measured: Some(measured) })
}
