//! The list of what is wrong, at the top of a page whose form was not taken.

use askama::Template;

/// Where the layouts want it.
const PLACE: &str = "<!-- what is wrong -->";

/// What follows the name of a field in the id of its error.
const ERROR: &str = "-error\"";

#[derive(Template)]
#[template(path = "shared/_wrongs.html")]
struct Wrongs<'a> {
    wrongs: Vec<Wrong<'a>>,
}

/// One error of a page. Its texts are HTML, as the page has them.
#[derive(Debug, PartialEq)]
struct Wrong<'a> {
    /// Id of the field, or of the error where no one field has it.
    place: String,
    label: Option<&'a str>,
    says: &'a str,
}

/// The page with a list of its errors, each of which leads to its field. Without scripts a long form would look as if
/// it had been taken.
pub(super) fn with_wrongs(html: String) -> String {
    let Some((before, after)) = html.split_once(PLACE) else { return html };
    let wrongs = wrongs(after);
    if wrongs.is_empty() {
        return html;
    }
    match (Wrongs { wrongs }).render() {
        Ok(list) => format!("{before}{list}{after}"),
        Err(_) => html,
    }
}

/// What the page says with an id such as `rate-error`, in its order.
fn wrongs(page: &str) -> Vec<Wrong<'_>> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(ERROR) {
        rest = after;
        let Some((_, name)) = before.rsplit_once("id=\"") else { continue };
        let is_name = !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
        let says = after.split_once('>').and_then(|(_, text)| text.split_once('<')).map(|(says, _)| says.trim());
        if let (true, Some(says)) = (is_name, says.filter(|says| !says.is_empty())) {
            let place =
                if page.contains(&format!("id=\"{name}\"")) { name.to_owned() } else { format!("{name}-error") };
            let label = page.split_once(&format!("<label for=\"{name}\">"));
            let label = label.and_then(|(_, text)| text.split_once('<')).map(|(label, _)| label.trim());
            found.push(Wrong { place, label: label.filter(|label| !label.is_empty()), says });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = r#"<label for="rate">Messages a minute</label>
        <input id="rate" aria-invalid="true" aria-describedby="rate-hint rate-error">
        <small class="error" id="rate-error">A number above 0 &amp; up.</small>
        <small class="error" id="days-error">Choose a day.</small>
        <p class="note bad" role="alert" id="launch-error"></p>"#;

    #[test]
    fn each_error_leads_to_its_field() {
        let rate = Wrong { place: "rate".into(), label: Some("Messages a minute"), says: "A number above 0 &amp; up." };
        let days = Wrong { place: "days-error".into(), label: None, says: "Choose a day." };
        assert_eq!(wrongs(FORM), [rate, days]);
    }

    #[test]
    fn only_a_page_with_errors_gets_a_list() {
        let page = format!("<main>{PLACE}{FORM}</main>");
        let listed = with_wrongs(page.clone());
        assert!(listed.contains(r##"<a href="#rate">Messages a minute: A number above 0 &amp; up.</a>"##), "{listed}");
        assert!(!listed.contains(PLACE));
        let fine = format!("<main>{PLACE}<input id=\"rate\"></main>");
        assert_eq!(with_wrongs(fine.clone()), fine);
        assert_eq!(with_wrongs(FORM.to_owned()), FORM, "a fragment has no place for it");
    }
}
