//! Settings of an external channel of RapidPro, taken over as they are.

use serde_json::Value;

use super::HttpSettings;
use super::gateway::{CUSTOM, ContentType, Gateway, Method};
use super::rules::AnswerRule;
use crate::providers::credentials::Credentials;

/// What is asked for where the settings name no body.
const BODY: &str = "id={{id}}&text={{text}}&to={{to}}&to_no_plus={{to_no_plus}}&from={{from}}&from_no_plus={{from_no_plus}}&channel={{channel}}";

/// A channel's configuration as JSON. What it knows and we do not is left out; the error says what is missing.
pub fn read(text: &str) -> Result<(HttpSettings, Credentials), String> {
    let config: Value = serde_json::from_str(text).map_err(|error| format!("This is no JSON: {error}"))?;
    let get = |name: &str| match config.get(name) {
        Some(Value::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let url = get("send_url").ok_or("These settings have no send_url: they are none of an external channel.")?;
    let mut settings = HttpSettings::of(CUSTOM).unwrap_or_default();
    let mut credentials = Credentials::default();
    let gateway: &mut Gateway = settings.gateway.get_or_insert_default();
    let send = &mut gateway.send;
    send.method = get("method").and_then(|word| Method::of_word(&word.to_uppercase())).unwrap_or(Method::Post);
    let body = get("body").unwrap_or_else(|| BODY.to_owned());
    (send.url, send.body) = match send.method {
        // What it sends is in the address then.
        Method::Get if !url.contains("{{") => {
            let join = if url.contains('?') { '&' } else { '?' };
            (format!("{url}{join}{body}"), String::new())
        }
        Method::Get => (url, String::new()),
        Method::Post | Method::Put => (url, body),
    };
    let content = get("content_type").unwrap_or_default();
    send.content = match content.as_str() {
        "json" | "application/json" => ContentType::Json,
        "xml" | "text/xml" | "application/xml" => ContentType::Xml,
        _ => ContentType::Form,
    };
    if content.contains('/') {
        send.headers.insert("Content-Type".to_owned(), content);
    }
    let headers = config.get("headers").or(config.get("send_headers")).and_then(Value::as_object);
    for (name, value) in headers.into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        send.headers.insert(name.clone(), value);
    }
    if let Some(authorization) = get("send_authorization") {
        send.headers.insert("Authorization".to_owned(), "{{authorization}}".to_owned());
        credentials.put("authorization", authorization);
    }
    send.longest = get("max_length").and_then(|n| n.parse().ok());
    let accepted = match get("mt_response_check") {
        Some(text) => format!("status 2xx and body contains {text}"),
        None => "status 2xx".to_owned(),
    };
    gateway.answers.accepted = accepted.parse::<AnswerRule>().ok();
    gateway.reply = get("mo_response").unwrap_or_default();
    for call in &mut gateway.calls {
        let renamed = |field: &str, known: &mut Vec<String>| {
            if let (Some(name), false) = (get(field), known.is_empty()) {
                known.insert(0, if name.starts_with('/') { name } else { format!("/{name}") });
            }
        };
        for (fields, known) in [
            (["mo_from_field", "from_xpath"], &mut call.from),
            (["mo_text_field", "text_xpath"], &mut call.text),
            (["mo_date_field", "time_xpath"], &mut call.time),
        ] {
            fields.iter().for_each(|field| renamed(field, known));
        }
    }
    Ok((settings, credentials))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_an_external_channel_are_taken_over() {
        let text = r#"{"send_url": "https://gw.example/send?to={{to_no_plus}}&text={{text}}", "method": "GET",
            "max_length": 459, "send_authorization": "Token t0ken", "mt_response_check": "OK", "mo_from_field": "msisdn"}"#;
        let (settings, credentials) = read(text).unwrap();
        let gateway = settings.gateway.unwrap();
        assert_eq!((gateway.send.method, gateway.send.body.as_str()), (Method::Get, ""));
        assert_eq!(gateway.send.longest, Some(459));
        assert_eq!(gateway.answers.accepted.unwrap().to_string(), "status 2xx and body contains OK");
        assert_eq!(credentials, Credentials::from([("authorization", "Token t0ken")]));
        let asks = |call: &super::super::gateway::CallShape| call.from.first().is_none_or(|from| from == "/msisdn");
        assert!(gateway.calls.iter().all(asks));

        let text = r#"{"send_url": "https://gw.example/", "content_type": "application/json", "body": "{\"t\": {{text}}}", "headers": {"X-Key": "1"}}"#;
        let gateway = read(text).unwrap().0.gateway.unwrap();
        assert_eq!((gateway.send.method, gateway.send.content), (Method::Post, ContentType::Json));
        assert_eq!(gateway.send.headers.len(), 2);
        assert!(read("{}").is_err() && read("send_url=x").is_err());
    }
}
