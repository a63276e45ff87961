//! Texts that the sandbox has approved, on its channels of WhatsApp: of each kind one, to try what they are like.

use crate::wording::{Approved, PlacePart, TemplatePlace};

fn place(part: PlacePart, name: &str, example: &str) -> TemplatePlace {
    TemplatePlace { part, name: name.to_owned(), example: example.to_owned() }
}

fn text(name: &str, category: &str, status: &str, body: &str, places: Vec<TemplatePlace>) -> Approved {
    Approved {
        name: name.to_owned(),
        title: name.to_owned(),
        language: "en".to_owned(),
        category: category.to_owned(),
        status: status.to_owned(),
        quality: "green".to_owned(),
        body: body.to_owned(),
        places,
        ..Approved::default()
    }
}

/// By name, as providers list them.
pub fn approved() -> Vec<Approved> {
    use PlacePart::{Body, Image};
    let appointment = Approved {
        choices: vec!["I will come".to_owned(), "Another day".to_owned()],
        ..text(
            "appointment",
            "utility",
            "approved",
            "Hello {{1}}, we expect you on {{2}}.",
            vec![place(Body, "1", "Ada"), place(Body, "2", "Friday, 10:30")],
        )
    };
    let picture = Approved {
        footer: "Reply STOP to opt out".to_owned(),
        ..text(
            "new_collection",
            "marketing",
            "approved",
            "{{first_name}}, the new collection is there.",
            vec![place(Image, "0", ""), place(Body, "first_name", "Ada")],
        )
    };
    let paused = text("offer", "marketing", "paused", "Half price until Sunday.", Vec::new());
    vec![appointment, picture, paused]
}
