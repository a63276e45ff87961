//! web: Which approved text, and what is filled into its places: the same fields for a schedule and for a reply.

use std::collections::BTreeMap;

use actix_web::web::{Data, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use askama::Template;
use serde::Deserialize;

use super::domain::Channel;
use super::{store, templates};
use crate::access::Operate;
use crate::app::App;
use crate::ids::ChannelId;
use crate::web::{FieldErrors, May, Problem, page};
use crate::wording::{Approved, FilledPlace, FilledTemplate, TemplatePlace};

pub fn routes(pages: &mut ServiceConfig) {
    pages.service(choice);
}

/// The longest text in one place. Providers take about a thousand characters altogether.
const LONGEST: usize = 1000;

/// The fields as typed: the text's key, empty for none, and one for each place, which are called by
/// [`TemplatePlace::field`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TemplateForm {
    pub template: String,
    #[serde(flatten)]
    pub places: BTreeMap<String, String>,
}

impl TemplateForm {
    pub fn of(filled: Option<&FilledTemplate>) -> Self {
        let Some(filled) = filled else { return TemplateForm::default() };
        let field = |it: &FilledPlace| {
            let place = TemplatePlace { part: it.part, name: it.name.clone(), example: String::new() };
            (place.field(), it.text.clone())
        };
        TemplateForm { template: filled.key(), places: filled.values.iter().map(field).collect() }
    }

    fn chosen<'a>(&self, known: &'a [Approved]) -> Option<&'a Approved> {
        known.iter().find(|it| it.key() == self.template)
    }

    fn value(&self, place: &TemplatePlace) -> &str {
        self.places.get(&place.field()).map_or("", |typed| typed.trim())
    }

    /// What was chosen; what is wrong is said at the fields. `None`: no approved text.
    pub fn parse(&self, known: &[Approved], errors: &mut FieldErrors) -> Option<FilledTemplate> {
        if self.template.is_empty() {
            return None;
        }
        let Some(it) = self.chosen(known) else {
            errors.add("template", "This text is not among those of the channel. Choose another one, or none.");
            return None;
        };
        if !it.can_be_sent() {
            errors.add("template", format!("It cannot be sent: {}.", standing(it)));
        }
        for place in &it.places {
            let (field, value) = (place.field(), self.value(place));
            let mut wrong = |what: String| errors.add(field.clone(), what);
            if value.is_empty() && place.part.is_media() {
                wrong("Give the address that the file is fetched from.".to_owned());
            } else if value.is_empty() {
                wrong("Say what stands here, such as #name|there#.".to_owned());
            } else if value.chars().count() > LONGEST {
                wrong(format!("At most {LONGEST} characters."));
            } else if place.part.is_media() && !value.starts_with("https://") && !value.starts_with('#') {
                wrong("An address that begins with https://, or a field that holds one.".to_owned());
            }
        }
        Some(it.filled(|place| self.value(place).to_owned()))
    }

    /// The fields, for a channel with these texts.
    pub fn choice<'a>(&'a self, channel: Option<&Channel>, known: &'a [Approved]) -> TemplateChoice<'a> {
        let window = channel.and_then(|it| it.provider.window(it.kind));
        TemplateChoice {
            form: self,
            known,
            chosen: self.chosen(known),
            window_hours: window.map(|it| it.num_hours()),
            list: channel.filter(|it| it.provider.approves_texts(it.kind)).map(|it| it.id),
        }
    }
}

/// How a text stands, in a word or two.
pub fn standing(it: &Approved) -> String {
    match &it.beyond {
        Some(beyond) => beyond.clone(),
        None => it.status.clone(),
    }
}

/// The fields of an approved text; they follow the choice of the channel.
pub struct TemplateChoice<'a> {
    form: &'a TemplateForm,
    known: &'a [Approved],
    chosen: Option<&'a Approved>,
    /// How long after a person wrote free texts reach them; `None`: always.
    window_hours: Option<i64>,
    /// Where the channel's texts are listed.
    list: Option<ChannelId>,
}

impl TemplateChoice<'_> {
    /// Those that can be sent, and the one that was chosen whatever became of it.
    fn options(&self) -> Vec<(String, String)> {
        let shown = |it: &&Approved| it.can_be_sent() || it.key() == self.form.template;
        let words = |it: &Approved| match it.can_be_sent() {
            true => format!("{} ({})", it.title, it.language),
            false => format!("{} ({}): {}", it.title, it.language, standing(it)),
        };
        self.known.iter().filter(shown).map(|it| (it.key(), words(it))).collect()
    }

    /// One that was chosen and that the channel does not have.
    fn is_gone(&self) -> bool {
        !self.form.template.is_empty() && self.chosen.is_none()
    }

    /// What a person would read.
    fn preview(&self) -> String {
        let or_place = |place: &TemplatePlace| match self.form.value(place) {
            "" => place.label(),
            typed => typed.to_owned(),
        };
        self.chosen.map(|it| it.filled(or_place).words()).unwrap_or_default()
    }

    fn typed(&self, place: &TemplatePlace) -> &str {
        self.form.places.get(&place.field()).map_or("", String::as_str)
    }
}

/// Drawn inside a form, with what is wrong.
#[derive(Template)]
#[template(path = "channels/_approved.html")]
pub struct ApprovedInForm<'a> {
    pub choice: TemplateChoice<'a>,
    pub errors: &'a FieldErrors,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    channel: String,
    #[serde(flatten)]
    form: TemplateForm,
}

#[get("/templates/choice")]
async fn choice(_may: May<Operate>, app: Data<App>, asked: Query<Asked>) -> Result<HttpResponse, Problem> {
    let Asked { channel, form } = asked.into_inner();
    let id = channel.trim().parse().map(ChannelId).ok();
    let (channel, known) = app
        .db
        .run(move |conn| {
            let channels = store::list(conn)?;
            let channel = channels.into_iter().find(|it| Some(it.id) == id);
            let known = match &channel {
                Some(it) => templates::of_channel(conn, it.id)?,
                None => Vec::new(),
            };
            diesel::QueryResult::Ok((channel, known))
        })
        .await?;
    page(ApprovedInForm { choice: form.choice(channel.as_ref(), &known), errors: &FieldErrors::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::PlacePart;

    #[test]
    fn every_place_is_filled_in_or_it_says_which_is_not() {
        let place = |part, name: &str| TemplatePlace { part, name: name.into(), example: String::new() };
        let it = Approved {
            name: "order".into(),
            title: "order".into(),
            language: "en".into(),
            status: "approved".into(),
            body: "Hi {{1}}".into(),
            places: vec![place(PlacePart::Image, "0"), place(PlacePart::Body, "1")],
            ..Approved::default()
        };
        let known = [it.clone(), Approved { name: "other".into(), status: "paused".into(), ..it }];
        let parse = |template: &str, image: &str, body: &str| {
            let typed = [("place_image_0", image), ("place_body_1", body), ("campaign", "7")];
            let places = typed.map(|(field, value)| (field.to_owned(), value.to_owned())).into_iter().collect();
            let mut errors = FieldErrors::default();
            let filled = TemplateForm { template: template.into(), places }.parse(&known, &mut errors);
            (filled, ["template", "place_image_0", "place_body_1"].map(|field| errors.of(field).is_some()))
        };
        assert_eq!(parse("", "", ""), (None, [false; 3]));
        let (filled, wrong) = parse("order:en", "https://a.example/b.png", "#name|you#");
        assert_eq!((filled.clone().unwrap().words(), wrong), ("Hi #name|you#".to_owned(), [false; 3]));
        assert_eq!(TemplateForm::of(filled.as_ref()).parse(&known, &mut FieldErrors::default()), filled);
        assert_eq!(parse("order:en", "ftp://a", " ").1, [false, true, true]);
        assert_eq!(parse("other:en", "#picture", "x").1, [true, false, false]);
        assert_eq!(parse("gone:en", "", "").1, [true, false, false]);
    }
}
