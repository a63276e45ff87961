use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::sentences::{asks_to_stop, sounds_like_stop, visible};
use crate::db::Reason;
use crate::words::words;

words! {
    /// What a whole message means, whoever is listening.
    #[derive(Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Meaning {
        Stop = "stop",
        Start = "start",
        Help = "help",
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
pub struct ConsentRules {
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

impl Default for ConsentRules {
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
        ConsentRules {
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

/// A message as its words are compared: small letters, single blanks, one form of each letter,
/// without the signs and quotes around it.
pub fn plain(text: &str) -> String {
    let text = visible(text).split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    text.trim_matches(|c: char| !c.is_alphanumeric()).to_owned()
}

impl ConsentRules {
    /// What a message means as a whole, and the language in which it does.
    ///
    /// `opted_out`: whether the contact is out: “yes” brings back only who is.
    pub fn meaning(&self, text: &str, channel: i64, opted_out: bool) -> Option<(Meaning, &Language)> {
        let said = plain(text);
        if said.is_empty() || (self.natural_on.contains(&channel) && NATURAL.contains(&said.as_str())) {
            return None;
        }
        if SURE.contains(&said.as_str()) {
            // Whatever the lists say.
            return Some((Meaning::Stop, self.language_of(&said)));
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
        let word = asks_to_stop(text, &self.stop_words())?;
        Some((Meaning::Stop, self.language_of(word)))
    }

    /// Whether a message that means nothing as a whole sounds like an opt-out: then bots are silent
    /// and campaigns pass them by until a human has decided.
    pub fn suspects_stop(&self, text: &str, channel: i64) -> bool {
        let all = self.languages.iter().flat_map(|language| &language.stop).map(String::as_str);
        let natural = all.filter(|word| !self.natural_on.contains(&channel) && is_natural(word));
        sounds_like_stop(text, &self.stop_words(), &natural.collect::<Vec<_>>())
    }

    /// Words of opting out in all languages, without those that people also say in a conversation.
    fn stop_words(&self) -> Vec<&str> {
        let listed = self.languages.iter().flat_map(|language| &language.stop).map(String::as_str);
        listed.chain(SURE).filter(|word| !is_natural(word)).collect()
    }

    /// The language whose word of opting out this is; where none has it, the first one answers.
    fn language_of(&self, word: &str) -> &Language {
        let has = |language: &&Language| language.stop.iter().any(|it| plain(it) == plain(word));
        self.languages.iter().find(has).or(self.languages.first()).unwrap_or(&*USUAL)
    }
}

fn is_natural(word: &str) -> bool {
    NATURAL.contains(&plain(word).as_str())
}

/// Answers where no language is left to.
static USUAL: LazyLock<Language> = LazyLock::new(|| ConsentRules::default().languages.swap_remove(0));

// ---- changing them -------------------------------------------------------------

pub const MOST_LANGUAGES: usize = 30;
/// Words of one meaning in one language, and characters of one.
pub const MOST_WORDS: usize = 60;
pub const LONGEST_WORD: usize = 40;
/// Characters of a language's name, and of an answer.
pub const LONGEST_NAME: usize = 40;
pub const LONGEST_ANSWER: usize = 480;

/// Words as typed, with commas or line ends between them, each once.
pub fn typed_words(text: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let words = text.split([',', ';', '\n']).map(|word| word.split_whitespace().collect::<Vec<_>>().join(" "));
    words.filter(|word| !plain(word).is_empty() && seen.insert(plain(word))).collect()
}

/// Why the rules stayed as they were. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("Another language is called “{0}”.")]
    NameTaken(String),
    /// A word of `meaning` that means something else as well.
    #[error("“{word}” already means {other} in {language}. A word means one thing in all languages.")]
    TwoMeanings { meaning: Meaning, word: String, other: &'static str, language: String },
    #[error("“{word}” always means stop, and cannot mean anything else.")]
    Sure { meaning: Meaning, word: String },
    #[error("“{0}” is the last language. One has to stay, to answer in.")]
    LastLanguage(String),
    #[error("There are {MOST_LANGUAGES} languages already.")]
    TooMany,
    #[error("“{0}” was renamed or removed in the meantime.")]
    Gone(String),
}

/// Everything that is wrong with rules, for each field to say. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
pub struct Refusals(pub Vec<Refused>);

impl Reason for Refusals {}

impl ConsentRules {
    /// These rules with a language in the place of the one called `was`, or behind the others.
    pub fn with(&self, was: Option<&str>, language: &Language) -> Result<ConsentRules, Vec<Refused>> {
        let mut rules = self.clone();
        let at = match was {
            Some(was) => Some(self.at(was).ok_or_else(|| vec![Refused::Gone(was.to_owned())])?),
            None if self.languages.len() >= MOST_LANGUAGES => return Err(vec![Refused::TooMany]),
            None => None,
        };
        let others = || self.languages.iter().enumerate().filter(|(n, _)| Some(*n) != at).map(|(_, other)| other);
        let mut refused = Vec::new();
        if others().any(|other| other.name.to_lowercase() == language.name.to_lowercase()) {
            refused.push(Refused::NameTaken(language.name.clone()));
        }
        for meaning in Meaning::ALL {
            for word in language.words(meaning) {
                let (word, said) = (word.clone(), plain(word));
                if meaning != Meaning::Stop && SURE.contains(&said.as_str()) {
                    refused.push(Refused::Sure { meaning, word });
                    continue;
                }
                let clash = others().chain([language]).find_map(|in_language| {
                    let means = |other: &&Meaning| in_language.words(**other).iter().any(|word| plain(word) == said);
                    let other = Meaning::ALL.iter().filter(|other| **other != meaning).find(means)?;
                    Some((other.word(), in_language.name.clone()))
                });
                if let Some((other, language)) = clash {
                    refused.push(Refused::TwoMeanings { meaning, word, other, language });
                }
            }
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        match at {
            Some(at) => rules.languages[at] = language.clone(),
            None => rules.languages.push(language.clone()),
        }
        Ok(rules)
    }

    /// These rules without a language.
    pub fn without(&self, name: &str) -> Result<ConsentRules, Refused> {
        let at = self.at(name).ok_or_else(|| Refused::Gone(name.to_owned()))?;
        if self.languages.len() == 1 {
            return Err(Refused::LastLanguage(name.to_owned()));
        }
        let mut rules = self.clone();
        rules.languages.remove(at);
        Ok(rules)
    }

    fn at(&self, name: &str) -> Option<usize> {
        self.languages.iter().position(|language| language.name == name)
    }

    /// What is different in `new`, in words for the journal; empty when nothing is.
    pub fn changes(&self, new: &ConsentRules) -> String {
        let by_name = |rules: &ConsentRules| -> BTreeMap<String, Language> {
            rules.languages.iter().map(|language| (language.name.clone(), language.clone())).collect()
        };
        let (old, now) = (by_name(self), by_name(new));
        let mut changes = Vec::new();
        changes.extend(old.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{name} removed")));
        changes.extend(now.keys().filter(|name| !old.contains_key(*name)).map(|name| format!("{name} added")));
        for (name, is) in &now {
            let Some(was) = old.get(name) else { continue };
            for meaning in Meaning::ALL {
                let (before, after) = (was.words(meaning), is.words(meaning));
                let word = meaning.word();
                let added = after.iter().filter(|it| !before.contains(it)).map(|it| format!("+{it}"));
                let removed = before.iter().filter(|it| !after.contains(it)).map(|it| format!("−{it}"));
                let words: Vec<String> = added.chain(removed).collect();
                if !words.is_empty() {
                    changes.push(format!("{name}, {word}: {}", words.join(" ")));
                }
                if was.answer(meaning) != is.answer(meaning) {
                    changes.push(format!("{name}, answer to {word}: {}", is.answer(meaning)));
                }
            }
        }
        for (what, was, is) in [
            ("natural words are answers", &self.natural_on, &new.natural_on),
            ("the provider confirms", &self.silent_on, &new.silent_on),
        ] {
            changes.extend(is.difference(was).map(|channel| format!("channel {channel}: {what}")));
            changes.extend(was.difference(is).map(|channel| format!("channel {channel}: no longer: {what}")));
        }
        if changes.is_empty() && self != new {
            changes.push("another order".to_owned());
        }
        changes.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(text: &str) -> Option<Meaning> {
        ConsentRules::default().meaning(text, 1, false).map(|(meaning, _)| meaning)
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
    fn courtesies_around_a_word_of_opting_out_change_nothing() {
        let rules = ConsentRules { natural_on: [7].into(), ..ConsentRules::default() };
        for text in ["stop please", "Stop. Thank you", "ＳＴＯＰ", "STOP\n\nSent from my iPhone", "OPT OUT now"] {
            assert_eq!(means(text), Some(Meaning::Stop), "{text}");
        }
        assert_eq!(rules.meaning("ARRET SMS", 1, false).unwrap().1.name, "French");
        assert_eq!(rules.meaning("STOP2END", 1, false).unwrap().1.name, "English");
        // What people also say in a conversation is no command with a courtesy, and a suspicion where it may be one.
        assert_eq!((means("cancel please"), means("yes please")), (None, None));
        assert!(rules.suspects_stop("cancel please", 1) && !rules.suspects_stop("cancel please", 7));
        assert!(!rules.suspects_stop("yes please", 1));
        let mut dutch = rules.clone();
        dutch.languages.push(Language {
            name: "Dutch".into(),
            stop: vec!["afmelden".into()],
            ..rules.languages[0].clone()
        });
        assert_eq!(dutch.meaning("Afmelden please", 1, false).unwrap().1.name, "Dutch", "whoever's word it is");
        assert!(dutch.suspects_stop("Afmelden - Anna", 7) && !rules.suspects_stop("Afmelden - Anna", 7));
    }

    #[test]
    fn it_is_answered_in_its_own_language() {
        let rules = ConsentRules::default();
        let (_, language) = rules.meaning("Abmelden", 1, false).unwrap();
        assert!(language.answer(Meaning::Stop).starts_with("Sie bekommen keine"));
    }

    #[test]
    fn yes_brings_back_only_who_is_out() {
        assert_eq!(means("Yes"), None);
        assert!(matches!(ConsentRules::default().meaning("Yes", 1, true), Some((Meaning::Start, _))));
    }

    #[test]
    fn natural_words_can_be_left_to_the_bot_and_stop_cannot() {
        let rules = ConsentRules { natural_on: [7].into(), ..ConsentRules::default() };
        for word in NATURAL {
            assert_eq!(rules.meaning(word, 7, true), None, "{word}");
        }
        assert!(rules.meaning("cancel", 8, false).is_some());
        for word in SURE {
            assert!(matches!(rules.meaning(word, 7, false), Some((Meaning::Stop, _))), "{word}");
        }
    }

    #[test]
    fn stop_and_unsubscribe_stop_whatever_the_lists_say() {
        let silent = |name: &str| Language {
            name: name.into(),
            stop: vec![],
            ..ConsentRules::default().languages.swap_remove(0)
        };
        let mut twisted = silent("Odd");
        (twisted.start, twisted.help) = (vec!["stop".into()], vec!["unsubscribe".into()]);
        for languages in [vec![], vec![silent("English")], vec![twisted]] {
            let rules = ConsentRules { languages, natural_on: [7].into(), ..ConsentRules::default() };
            for word in SURE {
                for out in [false, true] {
                    assert!(matches!(rules.meaning(word, 7, out), Some((Meaning::Stop, _))), "{word}");
                }
            }
            if rules.languages.len() == 1 {
                assert_eq!(rules.meaning("STOP", 1, false).unwrap().1.name, rules.languages[0].name);
            }
        }
        let rules = ConsentRules::default();
        assert_eq!(rules.meaning("STOP", 1, false).unwrap().1.name, "English");
    }

    #[test]
    fn a_word_means_one_thing_in_all_languages() {
        let rules = ConsentRules::default();
        let dutch = |stop: &str, start: &str, help: &str| Language {
            name: "Dutch".into(),
            stop: typed_words(stop),
            start: typed_words(start),
            help: typed_words(help),
            ..rules.languages[0].clone()
        };
        let refused = |it: Language| rules.with(None, &it).unwrap_err();
        assert_eq!(
            refused(dutch("Ayuda", "", ""))[0].to_string(),
            "“Ayuda” already means help in Spanish. A word means one thing in all languages."
        );
        assert!(matches!(
            &refused(dutch("af", "Af!", ""))[..],
            [Refused::TwoMeanings { .. }, Refused::TwoMeanings { .. }]
        ));
        assert!(matches!(&refused(dutch("", "STOP", ""))[0], Refused::Sure { meaning: Meaning::Start, .. }));
        assert!(rules.with(None, &dutch("parar, stop", "aan", "hulp")).is_ok(), "the same in two languages");
        let english = Language { name: "english".into(), ..dutch("", "", "") };
        assert_eq!(refused(english), [Refused::NameTaken("english".into())]);
        assert!(rules.with(Some("English"), &dutch("", "", "")).is_ok());
        assert_eq!(rules.with(Some("Latin"), &dutch("", "", "")), Err(vec![Refused::Gone("Latin".into())]));
    }

    #[test]
    fn one_language_stays_and_the_journal_hears_what_changed() {
        let rules = ConsentRules::default();
        let one = ["French", "Spanish", "Portuguese", "German"]
            .iter()
            .fold(rules.clone(), |it, name| it.without(name).unwrap());
        assert_eq!(one.without("English"), Err(Refused::LastLanguage("English".into())));
        assert_eq!(rules.changes(&rules), "");
        let mut new = rules.without("German").unwrap();
        new.languages[0].stop = typed_words("stop, halt");
        new.languages[0].stop.extend(rules.languages[0].stop[1..].iter().cloned());
        new.silent_on.insert(3);
        assert_eq!(rules.changes(&new), "German removed; English, stop: +halt; channel 3: the provider confirms");
    }

    #[test]
    fn words_are_typed_with_commas_or_in_lines() {
        assert_eq!(typed_words("stop,  Stop all\r\n STOP; !, arrêt"), ["stop", "Stop all", "arrêt"]);
    }
}
