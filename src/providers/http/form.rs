//! The form of a gateway's channel: what its preset asks for, or all of it where somebody describes the gateway.

use super::gateway::{CUSTOM, ContentType, Gateway, Method, PRESETS, Signed};
use super::rules::AnswerRule;
use super::{HttpSettings, NAMES, template};
use crate::providers::class::AnswerMeans;
use crate::providers::credentials::Credentials;
use crate::providers::form::{Fields, Mistakes, SettingsForm};

/// Names of places for what is kept sealed, in the channel of a gateway that somebody described.
pub const CUSTOM_SECRETS: [(&str, &str); 4] = [
    ("authorization", "{{authorization}}"),
    ("password", "{{password}}"),
    ("api_key", "{{api_key}}"),
    ("signature_secret", "Secret of signed calls"),
];

/// Bytes of a template at most.
const LONGEST: usize = 10_000;

/// The names under which secrets of a preset are typed and kept.
pub fn secrets(preset: &str) -> Vec<&'static str> {
    match PRESETS.get(preset) {
        Some(_) if preset == CUSTOM => CUSTOM_SECRETS.map(|(name, _)| name).to_vec(),
        Some(preset) => preset.asks.iter().filter(|it| it.secret).map(|it| it.name.as_str()).collect(),
        None => Vec::new(),
    }
}

/// Those without which a gateway takes nothing: the field they are typed into, and their name.
pub fn needed_secrets(preset: &str) -> Vec<(String, &'static str)> {
    let asks = PRESETS.get(preset).map(|preset| preset.asks.as_slice()).unwrap_or_default();
    let needed = asks.iter().filter(|it| it.secret && !it.optional);
    needed.map(|it| (format!("ask_{}", it.name), it.name.as_str())).collect()
}

/// What was typed of them.
pub fn typed_secrets(preset: &str, fields: &Fields) -> Credentials {
    let mut typed = Credentials::default();
    for name in secrets(preset) {
        let value = fields.get(&format!("ask_{name}")).trim();
        if !value.is_empty() {
            typed.put(name, value);
        }
    }
    typed
}

fn rule(rule: &Option<AnswerRule>) -> String {
    rule.as_ref().map(AnswerRule::to_string).unwrap_or_default()
}

impl SettingsForm for HttpSettings {
    fn fields(&self) -> Fields {
        let mut fields = Fields::from([
            ("preset", self.preset.clone()),
            ("region", self.region.clone()),
            ("zone", self.zone.name().to_owned()),
            ("repeats", if self.repeats { "yes" } else { "" }.to_owned()),
        ]);
        for (name, value) in &self.asked {
            fields.put(format!("ask_{name}"), value);
        }
        let Some(Gateway { send, answers, signed, reply, calls, .. }) = self.gateway.as_deref() else { return fields };
        let headers: String = send.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let codes: String = answers.codes.iter().map(|(code, meaning)| format!("{code} = {meaning}\n")).collect();
        for (name, value) in [
            ("method", send.method.word().to_owned()),
            ("url", send.url.clone()),
            ("content", send.content.word().to_owned()),
            ("headers", headers),
            ("body", send.body.clone()),
            ("longest", send.longest.map(|n| n.to_string()).unwrap_or_default()),
            ("honours_key", if send.honours_key { "yes" } else { "" }.to_owned()),
            ("accepted", rule(&answers.accepted)),
            ("rejected", rule(&answers.rejected)),
            ("later", rule(&answers.later)),
            ("not_now", rule(&answers.not_now)),
            ("codes", codes),
            ("otherwise", answers.otherwise.clone()),
            ("id_at", rule(&answers.id)),
            ("signed", signed.word().to_owned()),
            ("reply", reply.clone()),
        ] {
            fields.put(name, value);
        }
        let message = calls.iter().find(|call| call.is == super::gateway::CallIs::Message);
        for (name, of) in NAMED {
            let pointers = message.map(of).cloned().unwrap_or_default();
            // A name alone is how people write it.
            let plain = |pointer: &String| match pointer.strip_prefix('/') {
                Some(name) if !name.contains('/') => name.to_owned(),
                _ => pointer.clone(),
            };
            fields.put(name, pointers.iter().map(plain).collect::<Vec<_>>().join(", "));
        }
        fields
    }

    fn read(fields: &Fields, mistakes: &mut Mistakes) -> Self {
        let preset = fields.get("preset").to_owned();
        let Some(mut settings) = HttpSettings::of(&preset) else {
            mistakes.add("preset", "Choose a gateway.");
            return HttpSettings::default();
        };
        settings.region = fields.get("region").trim().to_uppercase();
        settings.repeats = !fields.get("repeats").is_empty();
        match fields.get("zone").trim() {
            "" => {}
            zone => match zone.parse() {
                Ok(zone) => settings.zone = zone,
                Err(_) => mistakes.add("zone", "A zone such as Europe/Dublin."),
            },
        }
        let asks = PRESETS.get(preset.as_str()).map(|preset| preset.asks.as_slice()).unwrap_or_default();
        for it in asks.iter().filter(|it| !it.secret) {
            let value = fields.get(&format!("ask_{}", it.name)).trim().to_owned();
            if value.is_empty() && !it.optional {
                mistakes.add(format!("ask_{}", it.name), "This is missing.");
            }
            if it.name.ends_with("url") && !value.is_empty() {
                check_address(&value, &format!("ask_{}", it.name), mistakes);
            }
            settings.asked.insert(it.name.clone(), value);
        }
        if let Some(gateway) = &mut settings.gateway {
            read_gateway(gateway, fields, mistakes);
        }
        settings
    }
}

type Pointers = fn(&super::gateway::CallShape) -> &Vec<String>;
const NAMED: [(&str, Pointers); 5] = [
    ("in_from", |call| &call.from),
    ("in_to", |call| &call.to),
    ("in_text", |call| &call.text),
    ("in_id", |call| &call.id),
    ("in_time", |call| &call.time),
];

fn check_address(text: &str, field: &str, mistakes: &mut Mistakes) {
    let begins = text.starts_with("http://") || text.starts_with("https://");
    if !begins || url::Url::parse(&text.replace("{{", "").replace("}}", "")).is_err() {
        mistakes.add(field.to_owned(), "An address such as https://gateway.example/send.");
    }
}

fn read_gateway(gateway: &mut Gateway, fields: &Fields, mistakes: &mut Mistakes) {
    let send = &mut gateway.send;
    send.method = Method::of_word(fields.get("method")).unwrap_or_default();
    send.content = ContentType::of_word(fields.get("content")).unwrap_or_default();
    send.url = fields.get("url").trim().to_owned();
    check_address(&send.url, "url", mistakes);
    send.body = fields.get("body").replace("\r\n", "\n").trim().to_owned();
    send.honours_key = !fields.get("honours_key").is_empty();
    send.headers.clear();
    for line in fields.get("headers").lines().map(str::trim).filter(|line| !line.is_empty()) {
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match line.split_once(':') {
            Some((name, value)) if is_name(name.trim()) => {
                send.headers.insert(name.trim().to_owned(), value.trim().to_owned());
            }
            _ => mistakes.add("headers", format!("“{line}” is no header. Write one a line, as Name: value.")),
        }
    }
    send.longest = match fields.get("longest").trim() {
        "" => None,
        text => match text.parse() {
            Ok(n) if 0 < n => Some(n),
            _ => {
                mistakes.add("longest", "A whole number above 0, or nothing.");
                None
            }
        },
    };
    let secret = |name: &str| CUSTOM_SECRETS.iter().any(|(it, _)| *it == name);
    let headers: Vec<&String> = send.headers.values().collect();
    for (field, text) in
        [("url", &send.url), ("body", &send.body)].into_iter().chain(headers.into_iter().map(|it| ("headers", it)))
    {
        if let Some(unknown) = template::places(text).into_iter().find(|name| !NAMES.contains(name) && !secret(name)) {
            mistakes.add(field, format!("Nothing is called {{{{{unknown}}}}} here."));
        }
        if LONGEST < text.len() {
            mistakes.add(field, format!("At most {LONGEST} bytes."));
        }
    }
    let all = format!("{}{}", send.url, send.body);
    for (name, what) in [("to", "whom the message goes to"), ("text", "what it says")] {
        if !template::places(&all).iter().any(|it| it.starts_with(name)) {
            mistakes.add(
                "body",
                format!("Neither the address nor the body says {what}: put {{{{{name}}}}} into one of them."),
            );
        }
    }

    let answers = &mut gateway.answers;
    let mut read = |field: &'static str| match fields.get(field).trim() {
        "" => None,
        text => match text.parse::<AnswerRule>() {
            Ok(rule) => Some(rule),
            Err(what) => {
                mistakes.add(field, what);
                None
            }
        },
    };
    (answers.accepted, answers.rejected) = (read("accepted"), read("rejected"));
    (answers.later, answers.not_now, answers.id) = (read("later"), read("not_now"), read("id_at"));
    if fields.get("accepted").trim().is_empty() {
        mistakes.add("accepted", "Say how an answer looks that means it was taken.");
    }
    answers.codes.clear();
    for line in fields.get("codes").lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.rsplit_once('=').map(|(code, meaning)| (code.trim(), meaning.trim())) {
            Some((code, meaning)) if !code.is_empty() && AnswerMeans::parse(meaning).is_some() => {
                answers.codes.insert(code.to_owned(), meaning.to_owned());
            }
            _ => mistakes.add("codes", format!("“{line}” is no code and its meaning, such as 14 = credentials.")),
        }
    }
    answers.otherwise = fields.get("otherwise").trim().to_owned();
    if !answers.otherwise.is_empty() && AnswerMeans::parse(&answers.otherwise).is_none() {
        mistakes.add("otherwise", "Choose one of those offered.");
    }
    let codes = answers.codes.clone();
    for call in gateway.calls.iter_mut().filter(|call| call.is == super::gateway::CallIs::Receipt) {
        call.codes = codes.clone();
    }
    gateway.signed = Signed::of_word(fields.get("signed")).unwrap_or_default();
    gateway.reply = fields.get("reply").trim().to_owned();
    let names = |field: &str| -> Vec<String> {
        let names = fields.get(field).split([' ', ',']).map(str::trim).filter(|name| !name.is_empty());
        names.map(super::rules::json_pointer).collect()
    };
    for call in gateway.calls.iter_mut().filter(|call| call.is == super::gateway::CallIs::Message) {
        for (field, known) in [
            ("in_from", &mut call.from),
            ("in_to", &mut call.to),
            ("in_text", &mut call.text),
            ("in_id", &mut call.id),
            ("in_time", &mut call.time),
        ] {
            let named = names(field);
            if !named.is_empty() {
                *known = named;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_comes_back_from_its_form_as_it_was() {
        for preset in PRESETS.keys() {
            let mut settings = HttpSettings::of(preset).unwrap();
            settings.region = "AT".into();
            for (name, value) in &mut settings.asked {
                *value = if name.ends_with("url") { "https://gw.example/send".into() } else { "x".into() };
            }
            if let Some(gateway) = &mut settings.gateway {
                gateway.send.url = "https://gw.example/send".into();
                gateway.send.headers.insert("X-Key".into(), "{{api_key}}".into());
                gateway.answers.rejected = "body matches ^ERROR:(\\d+)".parse().ok();
                gateway.answers.codes = [("14".to_owned(), "credentials".to_owned())].into();
                let codes = gateway.answers.codes.clone();
                let receipts =
                    gateway.calls.iter_mut().filter(|call| call.is == super::super::gateway::CallIs::Receipt);
                receipts.for_each(|call| call.codes = codes.clone());
            }
            let mut mistakes = Mistakes::default();
            assert_eq!(HttpSettings::read(&settings.fields(), &mut mistakes), settings, "{preset}");
            assert_eq!(mistakes, Mistakes::default(), "{preset}");
        }
    }

    #[test]
    fn what_cannot_work_is_said_at_its_field() {
        let mut fields = HttpSettings::of(CUSTOM).unwrap().fields();
        for (name, value) in [
            ("url", "gw.example"),
            ("body", "to={{phone}}"),
            ("headers", "no header"),
            ("longest", "0"),
            ("accepted", ""),
            ("rejected", "perhaps"),
            ("codes", "14 = sent"),
            ("zone", "Mars"),
        ] {
            fields.put(name, value);
        }
        let mut mistakes = Mistakes::default();
        HttpSettings::read(&fields, &mut mistakes);
        for field in ["url", "body", "headers", "longest", "accepted", "rejected", "codes", "zone"] {
            assert!(mistakes.0.iter().any(|(it, _)| it == field), "{field}: {mistakes:?}");
        }
    }
}
