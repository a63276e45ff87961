//! domain: Quiet hours as forms ask for them.

use serde::Deserialize;

use super::domain::{Override, QuietChoice, time_of};
use crate::pacing::Quiet;
use crate::web::FieldErrors;

/// A campaign's own choice as typed: the fields of `templates/settings/_quiet_choice.html`.
///
/// A form without these fields keeps what the installation decided.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct QuietForm {
    pub quiet: String,
    pub quiet_from: String,
    pub quiet_to: String,
    pub blackouts_apply: String,
}

impl QuietForm {
    pub fn of(own: &Override) -> Self {
        let (quiet_from, quiet_to) = typed(own.quiet.own());
        let blackouts_apply = if own.blackouts_apply { "on".to_owned() } else { String::new() };
        QuietForm { quiet: own.quiet.word().to_owned(), quiet_from, quiet_to, blackouts_apply }
    }

    /// Says at the fields what is wrong; `None` when something is.
    pub fn parse(&self, errors: &mut FieldErrors) -> Option<Override> {
        let quiet = match self.quiet.as_str() {
            "" => return Some(Override::default()),
            "inherit" => QuietChoice::Inherit,
            "none" => QuietChoice::None,
            "own" => QuietChoice::Own(own_times(&self.quiet_from, &self.quiet_to, errors)?),
            _ => {
                errors.add("quiet", "Choose one of these.");
                return None;
            }
        };
        Some(Override { quiet, blackouts_apply: !self.blackouts_apply.is_empty() })
    }
}

/// Quiet hours as their two fields show them.
pub(super) fn typed(quiet: Option<Quiet>) -> (String, String) {
    let text = |time: chrono::NaiveTime| time.format("%H:%M").to_string();
    quiet.map(|quiet| (text(quiet.from()), text(quiet.to()))).unwrap_or_default()
}

/// Reads the fields `quiet_from` and `quiet_to`, which must both be filled in.
pub(super) fn own_times(from: &str, to: &str, errors: &mut FieldErrors) -> Option<Quiet> {
    let (from, to) = (time_of(from), time_of(to));
    if from.is_none() {
        errors.add("quiet_from", "A time, such as 21:00.");
    }
    if to.is_none() {
        errors.add("quiet_to", "A time, such as 08:00.");
    }
    let (from, to) = from.zip(to)?;
    Quiet::new(from, to).map_err(|empty| errors.add("quiet_to", empty.to_string())).ok()
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::*;

    /// A page that includes the fields.
    #[derive(Template)]
    #[template(
        ext = "html",
        source = r#"{% import "settings/_quiet_choice.html" as q %}{% call q::quiet_choice(form, "21:00–08:00", errors) %}{% endcall %}"#
    )]
    struct Fields<'a> {
        form: &'a QuietForm,
        errors: &'a FieldErrors,
    }

    #[test]
    fn the_fields_show_what_was_typed_and_what_is_wrong_with_it() {
        let (form, mut errors) = (form("own", "21:00", "21:00"), FieldErrors::default());
        form.parse(&mut errors);
        let html = Fields { form: &form, errors: &errors }.render().unwrap();
        for words in [
            r#"value="own" checked"#,
            r#"name="quiet_to" type="time" value="21:00""#,
            r#"id="quiet_to-error">Quiet hours must end"#,
            "Now 21:00–08:00.",
            r#"name="blackouts_apply" value="on">"#,
        ] {
            assert!(html.contains(words), "{words} in {html}");
        }
        let fresh = Fields { form: &QuietForm::default(), errors: &FieldErrors::default() }.render().unwrap();
        assert!(fresh.contains(r#"value="inherit" checked"#) && fresh.contains(r#"value="on" checked"#));
        let typed = QuietForm::of(&Override::default());
        assert_eq!(Fields { form: &typed, errors: &FieldErrors::default() }.render().unwrap(), fresh);
    }

    fn form(quiet: &str, from: &str, to: &str) -> QuietForm {
        let (quiet, quiet_from, quiet_to) = (quiet.to_owned(), from.to_owned(), to.to_owned());
        QuietForm { quiet, quiet_from, quiet_to, blackouts_apply: String::new() }
    }

    #[test]
    fn a_choice_comes_back_from_its_form_as_it_was() {
        let own = form("own", "21:00", "08:00").parse(&mut FieldErrors::default()).unwrap();
        for own in [own, Override::default(), Override { quiet: QuietChoice::None, blackouts_apply: true }] {
            assert_eq!(QuietForm::of(&own).parse(&mut FieldErrors::default()), Some(own));
        }
        assert!(!own.blackouts_apply, "a box without a tick is not sent");
    }

    #[test]
    fn a_form_without_these_fields_changes_nothing() {
        assert_eq!(QuietForm::default().parse(&mut FieldErrors::default()), Some(Override::default()));
    }

    #[test]
    fn every_mistake_is_named_at_its_field() {
        for (form, wrong) in [
            (form("own", "", "08:00"), "quiet_from"),
            (form("own", "21:00", "late"), "quiet_to"),
            (form("own", "21:00", "21:00"), "quiet_to"),
            (form("sometimes", "", ""), "quiet"),
        ] {
            let mut errors = FieldErrors::default();
            assert_eq!(form.parse(&mut errors), None);
            assert!(errors.of(wrong).is_some(), "{form:?}");
        }
    }

    #[test]
    fn times_that_are_not_chosen_are_not_looked_at() {
        let mut errors = FieldErrors::default();
        assert!(form("none", "21:00", "late").parse(&mut errors).is_some());
        assert!(errors.is_empty());
    }
}
