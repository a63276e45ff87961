use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a whole message means, whoever is listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    Stop,
    Start,
    Help,
}

impl Meaning {
    pub const ALL: [Meaning; 3] = [Meaning::Stop, Meaning::Start, Meaning::Help];

    pub fn word(self) -> &'static str {
        match self {
            Meaning::Stop => "stop",
            Meaning::Start => "start",
            Meaning::Help => "help",
        }
    }
}

/// The words of one language, and what they are answered with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Language {
    /// What people call it.
    pub name: String,
    pub stop: Vec<String>,
    pub start: Vec<String>,
    pub help: Vec<String>,
    /// Said once to who has just opted out.
    pub stopped: String,
    /// Said to who is back.
    pub started: String,
    pub helped: String,
}

impl Language {
    pub fn words(&self, meaning: Meaning) -> &[String] {
        match meaning {
            Meaning::Stop => &self.stop,
            Meaning::Start => &self.start,
            Meaning::Help => &self.help,
        }
    }

    pub fn answer(&self, meaning: Meaning) -> &str {
        match meaning {
            Meaning::Stop => &self.stopped,
            Meaning::Start => &self.started,
            Meaning::Help => &self.helped,
        }
    }
}

/// What an installation listens to before any bot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    pub languages: Vec<Language>,
    /// Channels on which [`NATURAL`] words are answers to a bot and no commands.
    #[serde(default)]
    pub natural_on: BTreeSet<i64>,
    /// Channels whose provider confirms an opt-out itself.
    #[serde(default)]
    pub silent_on: BTreeSet<i64>,
}

/// Words that people also say in a conversation. They alone can be switched off.
pub const NATURAL: [&str; 4] = ["cancel", "end", "quit", "yes"];

/// Words by which an opt-out is sure to be meant, and that cannot be taken away.
pub const SURE: [&str; 2] = ["stop", "unsubscribe"];

impl Default for Rules {
    /// Words of the large providers and carriers: Twilio's and Telnyx's defaults, and what 47 CFR 64.1200(a)(10) names.
    fn default() -> Self {
        let language = |name: &str, stop: &str, start: &str, help: &str, says: [&str; 3]| {
            let words = |text: &str| text.split(',').map(|word| word.trim().to_owned()).collect();
            Language {
                name: name.to_owned(),
                stop: words(stop),
                start: words(start),
                help: words(help),
                stopped: says[0].to_owned(),
                started: says[1].to_owned(),
                helped: says[2].to_owned(),
            }
        };
        Rules {
            languages: vec![
                language(
                    "English",
                    "stop, stop all, stopall, unsubscribe, cancel, end, quit, revoke, optout, opt out, opt-out",
                    "start, unstop, yes",
                    "help, info",
                    [
                        "You will get no more messages from us. Reply START to get them again.",
                        "You will get our messages again. Reply STOP to end them.",
                        "Reply STOP to get no more messages, or write what you need: somebody reads it.",
                    ],
                ),
                language(
                    "French",
                    "arret, arrêt, arreter, arrêter",
                    "reprendre",
                    "aide",
                    [
                        "Vous ne recevrez plus de messages. Répondez START pour les recevoir à nouveau.",
                        "Vous recevrez à nouveau nos messages. Répondez STOP pour y mettre fin.",
                        "Répondez STOP pour ne plus recevoir de messages, ou écrivez ce qu'il vous faut.",
                    ],
                ),
                language(
                    "Spanish",
                    "alto, baja, parar",
                    "alta",
                    "ayuda",
                    [
                        "No recibirá más mensajes. Responda START para recibirlos de nuevo.",
                        "Recibirá de nuevo nuestros mensajes. Responda STOP para darse de baja.",
                        "Responda STOP para no recibir más mensajes, o escriba lo que necesita.",
                    ],
                ),
                language(
                    "Portuguese",
                    "parar, sair",
                    "voltar",
                    "ajuda",
                    [
                        "Não receberá mais mensagens. Responda START para voltar a recebê-las.",
                        "Voltará a receber as nossas mensagens. Responda STOP para parar.",
                        "Responda STOP para não receber mais mensagens, ou escreva o que precisa.",
                    ],
                ),
                language(
                    "German",
                    "stopp, abmelden",
                    "anmelden",
                    "hilfe",
                    [
                        "Sie bekommen keine Nachrichten mehr. Mit START bekommen Sie sie wieder.",
                        "Sie bekommen unsere Nachrichten wieder. Mit STOP beenden Sie das.",
                        "Mit STOP bekommen Sie keine Nachrichten mehr, oder schreiben Sie, was Sie brauchen.",
                    ],
                ),
            ],
            natural_on: BTreeSet::new(),
            silent_on: BTreeSet::new(),
        }
    }
}

/// A message as its words are compared: small letters, single blanks, without the
/// signs and quotes around it.
pub fn plain(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    text.trim_matches(|c: char| !c.is_alphanumeric()).to_owned()
}

impl Rules {
    /// What a message means as a whole, and the language in which it does.
    ///
    /// `opted_out`: whether the contact is out: “yes” brings back only who is.
    pub fn meaning(&self, text: &str, channel: i64, opted_out: bool) -> Option<(Meaning, &Language)> {
        let said = plain(text);
        if said.is_empty() || (self.natural_on.contains(&channel) && NATURAL.contains(&said.as_str())) {
            return None;
        }
        for meaning in Meaning::ALL {
            if meaning == Meaning::Start && said == "yes" && !opted_out {
                continue;
            }
            let says = |language: &&Language| language.words(meaning).iter().any(|word| plain(word) == said);
            if let Some(language) = self.languages.iter().find(says) {
                return Some((meaning, language));
            }
        }
        None
    }
}

/// Whether a message sounds like an opt-out in words of the contact's own.
pub fn sounds_like_stop(text: &str) -> bool {
    const PHRASES: [&str; 22] = [
        "stop texting",
        "stop messaging",
        "stop sending",
        "stop contacting",
        "stop writing",
        "stop calling",
        "stop this",
        "stop it",
        "please stop",
        "unsubscribe",
        "opt out",
        "opt me out",
        "remove me",
        "take me off",
        "leave me alone",
        "no more messages",
        "no more texts",
        "don't text me",
        "dont text me",
        "do not text me",
        "don't contact me",
        "do not contact me",
    ];
    let said = format!(" {} ", plain(&text.replace('’', "'")));
    PHRASES.iter().any(|phrase| said.contains(&format!(" {phrase} ")) || said.contains(&format!(" {phrase},")))
        || said.split(|c: char| !c.is_alphanumeric()).any(|word| word == "unsubscribe" || word == "optout")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(text: &str) -> Option<Meaning> {
        Rules::default().meaning(text, 1, false).map(|(meaning, _)| meaning)
    }

    #[test]
    fn a_whole_message_is_a_command_and_a_part_of_one_is_not() {
        for text in ["STOP", " stop. ", "“Stop!”", "Stop  All", "ARRÊT", "OptOut", "opt-out", "baja", "Quit"] {
            assert_eq!(means(text), Some(Meaning::Stop), "{text}");
        }
        assert_eq!(
            (means("start"), means("UNSTOP"), means("Info")),
            (Some(Meaning::Start), Some(Meaning::Start), Some(Meaning::Help))
        );
        for text in ["", "...", "Stop texting me", "don't stop", "the end", "I need help"] {
            assert_eq!(means(text), None, "{text}");
        }
    }

    #[test]
    fn it_is_answered_in_its_own_language() {
        let rules = Rules::default();
        let (_, language) = rules.meaning("Abmelden", 1, false).unwrap();
        assert!(language.answer(Meaning::Stop).starts_with("Sie bekommen keine"));
    }

    #[test]
    fn yes_brings_back_only_who_is_out() {
        assert_eq!(means("Yes"), None);
        assert!(matches!(Rules::default().meaning("Yes", 1, true), Some((Meaning::Start, _))));
    }

    #[test]
    fn natural_words_can_be_left_to_the_bot_and_stop_cannot() {
        let rules = Rules { natural_on: [7].into(), ..Rules::default() };
        for word in NATURAL {
            assert_eq!(rules.meaning(word, 7, true), None, "{word}");
        }
        assert!(rules.meaning("cancel", 8, false).is_some());
        for word in SURE {
            assert!(matches!(rules.meaning(word, 7, false), Some((Meaning::Stop, _))), "{word}");
        }
    }

    #[test]
    fn an_opt_out_in_their_own_words_is_suspected() {
        for text in [
            "Please STOP texting me!",
            "take me off your list",
            "Leave me alone",
            "I want to unsubscribe, ok?",
            "don’t text me again",
        ] {
            assert!(sounds_like_stop(text), "{text}");
        }
        for text in ["where is the bus stop", "I can't stop laughing", "Thursday", ""] {
            assert!(!sounds_like_stop(text), "{text}");
        }
    }
}
