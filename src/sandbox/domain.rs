use std::collections::BTreeMap;
use std::time::Duration;

use regex::{Regex, RegexBuilder};

use crate::providers::sandbox::{always_stops, chance};

/// How phones answer certain texts by themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Habit {
    /// A regular expression over the text that arrived, in any case; empty: any text.
    pub pattern: String,
    /// One in a line, of which one is drawn; none: the phone stays silent.
    pub replies: String,
    /// Share of the phones that have it, 0 to 1.
    pub chance: f64,
    /// It answers after between `after_s` and `to_s` seconds.
    pub after_s: i32,
    pub to_s: i32,
}

/// Stands in a reply for one of the answers that a message offers.
pub const CHOICE: &str = "#choice";

pub const LONGEST_PATTERN: usize = 500;
pub const LONGEST_REPLIES: usize = 4000;
/// A day.
pub const LONGEST_DELAY: i32 = 86_400;

impl Habit {
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.replies.lines().map(str::trim).filter(|line| !line.is_empty())
    }

    /// The pattern as it is asked, or what is wrong with it.
    pub fn regex(&self) -> Result<Regex, String> {
        RegexBuilder::new(&self.pattern).case_insensitive(true).size_limit(1 << 20).build().map_err(|error| match error
        {
            regex::Error::CompiledTooBig(_) => "This pattern is too large.".to_owned(),
            error => {
                let said = error.to_string();
                let why = said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                format!("This is not a regular expression: {why}.")
            }
        })
    }
}

/// A habit in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct PhoneRule {
    pub id: i64,
    pub enabled: bool,
    pub habit: Habit,
}

/// Something that arrives on a phone.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Everything is drawn from these two: the same run gives the same answers.
    pub seed: u64,
    pub part: &'a str,
    pub phone: &'a str,
    pub text: &'a str,
    pub choices: &'a [String],
}

/// What a phone writes by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub text: String,
    pub after: Duration,
}

/// The rules that are on, ready to be asked.
#[derive(Default)]
pub struct PhoneRules(Vec<(PhoneRule, Regex)>);

impl PhoneRules {
    /// Passes over what is off, and what is no pattern.
    pub fn new(rules: Vec<PhoneRule>) -> Self {
        let on = rules.into_iter().filter(|rule| rule.enabled);
        PhoneRules(on.filter_map(|rule| rule.habit.regex().ok().map(|regex| (rule, regex))).collect())
    }

    /// The rule that decides, and what the phone answers; from top to bottom, the first that matches and draws yes.
    fn decides(&self, it: Arrival<'_>) -> Option<(&PhoneRule, Option<Answer>)> {
        for (rule, regex) in &self.0 {
            let draw = |what: &str| chance(it.seed, it.part, &format!("{what} of rule {}", rule.id));
            let lines: Vec<&str> =
                rule.habit.lines().filter(|line| !it.choices.is_empty() || !line.contains(CHOICE)).collect();
            // A rule whose replies all need choices says nothing about a message without.
            let fits = !lines.is_empty() || rule.habit.lines().next().is_none();
            if !fits || !regex.is_match(it.text) || rule.habit.chance <= draw("chance") {
                continue;
            }
            let answer = pick(&lines, draw("line")).map(|line| {
                let choice = pick(it.choices, draw("choice")).map_or("", String::as_str);
                let spread = f64::from(rule.habit.to_s - rule.habit.after_s);
                let after = f64::from(rule.habit.after_s) + spread * draw("delay");
                Answer { text: line.replace(CHOICE, choice), after: Duration::from_secs_f64(after.max(0.0)) }
            });
            return Some((rule, answer));
        }
        None
    }

    /// What the phone writes by itself, if anything.
    pub fn answer(&self, it: Arrival<'_>) -> Option<Answer> {
        if always_stops(it.phone) {
            return Some(Answer { text: "STOP".to_owned(), after: Duration::ZERO });
        }
        self.decides(it)?.1
    }

    /// What `n` phones would answer to a text, the most frequent first; `None` for silence.
    pub fn poll(&self, text: &str, choices: &[String], n: usize) -> Vec<(Option<String>, usize)> {
        let mut counts: BTreeMap<Option<String>, usize> = BTreeMap::new();
        for i in 0..n {
            let it = Arrival { seed: 1, part: &format!("try-{i}"), phone: "", text, choices };
            *counts.entry(self.answer(it).map(|answer| answer.text)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        counts
    }
}

fn pick<T>(from: &[T], draw: f64) -> Option<&T> {
    from.get(((from.len() as f64 * draw) as usize).min(from.len().saturating_sub(1)))
}

/// Habits with which a campaign gets the answers that campaigns get.
pub fn usual() -> Vec<Habit> {
    let habit = |pattern: &str, chance: f64, after_s: i32, to_s: i32, replies: &[&str]| Habit {
        pattern: pattern.to_owned(),
        replies: replies.join("\n"),
        chance,
        after_s,
        to_s,
    };
    let last_words = r"thank|goodbye|see you|no more messages|will write to you|get our messages again";
    vec![
        habit(last_words, 0.15, 5, 60, &["Thanks", "Thank you!", "Bye", "Cheers"]),
        habit(last_words, 1.0, 0, 0, &[]),
        habit("", 0.02, 5, 120, &["STOP", "Stop", "stop"]),
        habit("", 0.01, 10, 120, &["Please stop texting me", "Take me off your list"]),
        habit("", 0.15, 0, 0, &[]),
        habit(
            r"\b(1|one) ?(to|-|–) ?(5|five)\b|how many stars|\brate\b",
            0.97,
            4,
            90,
            &["5", "4", "5!", "3", "4", "2", "1", "5", "about 4", "great", "it was ok"],
        ),
        habit("", 0.95, 3, 60, &[CHOICE]),
        habit(
            r"\b(what day|which day|when|date)\b",
            0.9,
            5,
            120,
            &["Tuesday", "tomorrow", "12 March", "Friday", "next week"],
        ),
        habit(
            r"yes or no|\bmay we\b|\bwould you\b|\bdo you\b",
            0.95,
            3,
            90,
            &["Yes", "yes please", "No", "no thanks", "Yes"],
        ),
        habit(r"still there", 0.6, 5, 120, &["Yes, sorry", "yes", "I'm here", "4"]),
        habit(r"\?", 0.7, 5, 120, &["Yes", "No", "ok", "What do you mean?", "maybe"]),
        habit("", 0.08, 10, 180, &["Who is this?", "ok", "Thanks"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: i64, pattern: &str, chance: f64, replies: &str) -> PhoneRule {
        let (pattern, replies) = (pattern.to_owned(), replies.to_owned());
        PhoneRule { id, enabled: true, habit: Habit { pattern, replies, chance, after_s: 2, to_s: 4 } }
    }

    fn arrives<'a>(part: &'a str, text: &'a str, choices: &'a [String]) -> Arrival<'a> {
        Arrival { seed: 1, part, phone: "12025550101", text, choices }
    }

    #[test]
    fn the_first_that_matches_and_draws_yes_answers() {
        let rules = PhoneRules::new(vec![
            PhoneRule { enabled: false, ..rule(1, "", 1.0, "off") },
            rule(2, "score", 0.0, "never"),
            rule(3, r"score\b", 1.0, "5"),
            rule(4, "quiet", 1.0, ""),
            rule(5, "", 1.0, "ok"),
        ]);
        let says = |text| rules.answer(arrives("1-1-1", text, &[])).map(|answer| answer.text);
        assert_eq!(says("Your SCORE?").as_deref(), Some("5"));
        assert_eq!(says("scores").as_deref(), Some("ok"));
        assert_eq!(says("be quiet"), None, "silence is an answer too");
        let after = rules.answer(arrives("1-1-1", "score", &[])).unwrap().after.as_secs_f64();
        assert!((2.0..=4.0).contains(&after), "{after}");
    }

    #[test]
    fn the_same_seed_and_part_give_the_same_answer_and_about_the_right_share() {
        let rules = PhoneRules::new(vec![rule(1, "", 0.3, "a\nb")]);
        let run = |seed| {
            let draw = |n: usize| rules.answer(Arrival { seed, ..arrives(&format!("1-{n}-1"), "Hello", &[]) });
            (0..1000).map(draw).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let answered = run(7).into_iter().flatten().collect::<Vec<_>>();
        assert!((250..350).contains(&answered.len()), "{}", answered.len());
        let a = answered.iter().filter(|it| it.text == "a").count();
        assert!((100..200).contains(&a), "{a}");
    }

    #[test]
    fn a_choice_is_one_that_was_offered() {
        let rules = PhoneRules::new(vec![rule(1, "", 1.0, "#choice"), rule(2, "", 1.0, "none")]);
        let offered = ["Yes".to_owned(), "No".to_owned()];
        let says = |choices: &[String]| rules.answer(arrives("1-1-1", "Well?", choices)).unwrap().text;
        assert!(offered.contains(&says(&offered)));
        assert_eq!(says(&[]), "none");
    }

    #[test]
    fn a_phone_that_ends_in_97_stops_with_rules_and_without() {
        let it = Arrival { phone: "12025550197", ..arrives("1-1-1", "Hello", &[]) };
        assert_eq!(PhoneRules::default().answer(it).unwrap().text, "STOP");
        assert_eq!(PhoneRules::new(vec![rule(1, "", 1.0, "Hi")]).answer(it).unwrap().text, "STOP");
    }

    #[test]
    fn a_pattern_that_is_none_is_explained() {
        let says = rule(1, "(1 to 5", 1.0, "").habit.regex().unwrap_err();
        assert_eq!(says, "This is not a regular expression: unclosed group.");
    }

    #[test]
    fn the_usual_rules_can_all_be_asked_and_give_various_answers() {
        let rules = usual().into_iter().enumerate().map(|(n, habit)| PhoneRule { id: n as i64, enabled: true, habit });
        let rules = PhoneRules::new(rules.collect());
        assert_eq!(rules.0.len(), usual().len());
        let says = rules.poll("From 1 to 5?", &[], 1000);
        assert!(says.len() >= 8, "{says:?}");
        let of = |word: Option<&str>| says.iter().find(|(it, _)| it.as_deref() == word).map_or(0, |(_, n)| *n);
        assert!((100..250).contains(&of(None)) && of(Some("STOP")) > 0 && of(Some("5")) > 100, "{says:?}");
    }
}
