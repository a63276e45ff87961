//! domain: What is wrong with a bot before anybody talks to it.

use std::collections::BTreeSet;

use super::steps::{Accept, Act, Ask, Nowhere, Step, StepId, Steps};
use super::turn::{MOST_IN_A_TURN, same, template};

/// Steps of one bot at most.
pub const MOST_STEPS: usize = 200;
/// Characters of a text at most.
pub const LONGEST_TEXT: usize = 1600;
/// Characters of a name, a field or a label at most.
pub const LONGEST_NAME: usize = 100;
/// A re-engager waits this many days at most.
pub const LONGEST_WAIT_DAYS: i64 = 30;
/// Times that a question may be asked again.
pub const MOST_RETRIES: u8 = 10;
/// Conditions of one step at most.
pub const MOST_ROUTES: usize = 20;

/// Something to put right, or to think about.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Where; `None` for the bot as a whole.
    pub step: Option<StepId>,
    pub severity: Severity,
    pub says: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The bot cannot be published.
    Error,
    Warning,
}

pub fn errors(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.severity == Severity::Error).count()
}

/// Everything that is wrong with a bot, in the order of its steps. `fields` are
/// what contacts are known by.
pub fn check(steps: &Steps, fields: &[String]) -> Vec<Finding> {
    let mut findings = Findings::default();
    if steps.0.is_empty() {
        findings.error(None, "The bot has no steps. Add one: it begins there.");
        return findings.0;
    }
    if steps.0.len() > MOST_STEPS {
        findings.error(None, format!("A bot has at most {MOST_STEPS} steps. Take some out."));
        return findings.0;
    }
    let graph = Graph::of(steps);
    let reached = graph.reached_from(0);
    let (circles, longest) = graph.without_waiting();
    let ending = graph.leads_to_an_end(steps);
    let mut known: Vec<String> = fields.to_vec();
    known.extend(steps.sets());

    for (at, step) in steps.0.iter().enumerate() {
        let id = Some(&step.id);
        names(&mut findings, steps, at);
        texts(&mut findings, step);
        ways(&mut findings, steps, at);
        if !reached.contains(&at) {
            findings.warn(id, "Nothing leads here. Let a step go on to it, or remove it.");
        } else if circles.contains(&at) {
            findings.error(
                id,
                "From here the bot comes back without waiting for a reply, and would go round for ever. Put an ask step in between, or go on elsewhere.",
            );
        } else if !ending.contains(&at) {
            findings.error(
                id,
                "From here the conversation can never end. Let one way lead to a step that closes, hands over or blocks.",
            );
        }
        used_fields(&mut findings, step, &known);
    }
    if longest > MOST_IN_A_TURN {
        findings.error(
            None,
            format!("{longest} steps can follow one another without waiting for a reply; {MOST_IN_A_TURN} may. Put an ask step in between."),
        );
    }
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, step: Option<&StepId>, says: impl Into<String>) {
        self.0.push(Finding { step: step.cloned(), severity: Severity::Error, says: says.into() });
    }

    fn warn(&mut self, step: Option<&StepId>, says: impl Into<String>) {
        self.0.push(Finding { step: step.cloned(), severity: Severity::Warning, says: says.into() });
    }
}

fn names(findings: &mut Findings, steps: &Steps, at: usize) {
    let step = &steps.0[at];
    let id = Some(&step.id);
    let before = &steps.0[..at];
    if before.iter().any(|other| other.id == step.id) {
        findings.error(id, format!("Two steps have the id “{}”. Give one of them another.", step.id));
    }
    if step.name.trim().is_empty() {
        findings.error(id, "Give the step a name.");
    } else if step.name.chars().count() > LONGEST_NAME {
        findings.error(id, format!("A name has at most {LONGEST_NAME} characters."));
    } else if before.iter().any(|other| same(&other.name, &step.name)) {
        findings.warn(id, format!("Another step is called “{}”, too. Give it a name of its own.", step.name));
    }
}

fn texts(findings: &mut Findings, step: &Step) {
    let id = Some(&step.id);
    let mut text = |text: &str, empty: Option<&'static str>| match text.trim() {
        "" => {
            if let Some(empty) = empty {
                findings.error(id, empty);
            }
        }
        text if text.chars().count() > LONGEST_TEXT => {
            findings.error(id, format!("A text has at most {LONGEST_TEXT} characters."));
        }
        _ => {}
    };
    match &step.act {
        Act::Message { text: said, .. } => text(said, Some("Write what the message says.")),
        Act::Ask(ask) => {
            text(&ask.text, Some("Write what is asked."));
            let again = (ask.retries > 0).then_some("Write what is said when a reply is not understood.");
            text(&ask.retry_text, again);
            asking(findings, ask, id);
        }
        Act::HandOver { text: said } | Act::Block { text: said } | Act::Close { text: said } => text(said, None),
        Act::Entity { store, .. } => {
            if store.trim().is_empty() {
                findings.error(id, "Say which field keeps what is found.");
            }
        }
        Act::SetField { field, value, .. } => {
            text(value, None);
            if field.trim().is_empty() {
                findings.error(id, "Say which field is set.");
            }
        }
        Act::Label { label, .. } => match label.trim().chars().count() {
            0 => findings.error(id, "Write the label."),
            n if n > LONGEST_NAME => findings.error(id, format!("A label has at most {LONGEST_NAME} characters.")),
            _ => {}
        },
        Act::Branch { routes, .. } => {
            if routes.is_empty() {
                findings.warn(id, "Without a condition this step only ever goes one way. Add one, or remove the step.");
            }
        }
    }
    if let Some(field) = step.act.sets()
        && (field.contains(['#', '|']) || field.chars().count() > LONGEST_NAME)
    {
        findings.error(id, format!("“{field}” cannot be a field: at most {LONGEST_NAME} characters, without # and |."));
    }
}

fn asking(findings: &mut Findings, ask: &Ask, id: Option<&StepId>) {
    if let Accept::Choices { choices } = &ask.accept {
        if choices.is_empty() {
            findings.error(id, "Write the choices, one in a line.");
        }
        for (at, choice) in choices.iter().enumerate() {
            if choice.value.trim().is_empty() {
                findings.error(id, "A choice has no name. Write it before its synonyms.");
            } else if choices[..at].iter().any(|other| same(&other.value, &choice.value)) {
                findings.error(id, format!("“{}” is offered twice.", choice.value));
            }
        }
    }
    if ask.retries > MOST_RETRIES {
        findings.error(id, format!("Ask again at most {MOST_RETRIES} times."));
    }
    if let Some(no_reply) = &ask.no_reply
        && !(1..=LONGEST_WAIT_DAYS * 24 * 60).contains(&no_reply.minutes())
    {
        findings.error(id, format!("Wait for a reply at least a minute, at most {LONGEST_WAIT_DAYS} days."));
    }
    if ask.routes.is_empty() && ask.store.trim().is_empty() {
        findings.warn(id, "Whatever is answered makes no difference. Keep the answer in a field, or add a condition.");
    }
}

fn ways(findings: &mut Findings, steps: &Steps, at: usize) {
    let step = &steps.0[at];
    let id = Some(&step.id);
    if step.act.routes().len() > MOST_ROUTES {
        findings.error(id, format!("A step has at most {MOST_ROUTES} conditions."));
    }
    for (n, route) in step.act.routes().iter().enumerate() {
        if let Some(wrong) = route.wrong() {
            findings.error(id, format!("Condition {}: {wrong}", n + 1));
        }
    }
    let (mut missing, mut nothing_below) = (BTreeSet::new(), false);
    for (_, to) in step.act.ways() {
        match steps.follow(at, to) {
            Ok(_) => {}
            Err(Nowhere::Missing(to)) => {
                missing.insert(to);
            }
            Err(Nowhere::NothingBelow) => nothing_below = true,
        }
    }
    for to in missing {
        findings.error(id, format!("It goes on to the step “{to}”, which does not exist. Choose another."));
    }
    if nothing_below {
        findings.error(
            id,
            "A dead end: it goes on to the step below, and there is none. Choose a step, or add one that closes or hands over.",
        );
    }
}

fn used_fields(findings: &mut Findings, step: &Step, known: &[String]) {
    let mut unset: Vec<String> = Vec::new();
    let mut used = |field: &str| {
        let is_known = known.iter().any(|known| same(known, field));
        if !is_known && !field.trim().is_empty() && !unset.iter().any(|it| same(it, field)) {
            unset.push(field.to_owned());
        }
    };
    let again = match &step.act {
        Act::Ask(ask) => Some(ask.retry_text.as_str()),
        Act::SetField { value, .. } => Some(value.as_str()),
        _ => None,
    };
    for text in step.act.text().into_iter().chain(again) {
        template(text, known.to_vec()).needed().into_iter().for_each(&mut used);
    }
    for field in step.act.routes().iter().filter(|route| route.op.looks()).filter_map(|route| route.field.as_deref()) {
        used(field);
    }
    if let Act::Entity { field: Some(field), .. } = &step.act {
        used(field);
    }
    for field in unset {
        findings.warn(
            Some(&step.id),
            format!("No step sets “{field}”, and no contact is known by it. Without a value a message with #{field} does not leave: check the spelling, or give a fallback, #{field}|there#."),
        );
    }
}

/// Which step leads to which.
struct Graph {
    leads: Vec<Vec<usize>>,
    waits: Vec<bool>,
}

impl Graph {
    fn of(steps: &Steps) -> Graph {
        let leads = |(at, step): (usize, &Step)| {
            step.act.ways().iter().filter_map(|(_, to)| steps.follow(at, to).ok()).collect()
        };
        Graph {
            leads: steps.0.iter().enumerate().map(leads).collect(),
            waits: steps.0.iter().map(|step| step.act.waits()).collect(),
        }
    }

    fn reached_from(&self, start: usize) -> BTreeSet<usize> {
        let (mut reached, mut open) = (BTreeSet::from([start]), vec![start]);
        while let Some(at) = open.pop() {
            open.extend(self.leads[at].iter().filter(|next| reached.insert(**next)));
        }
        reached
    }

    /// The steps that lead back to themselves without a wait, and how many steps can
    /// follow one another without one otherwise.
    fn without_waiting(&self) -> (BTreeSet<usize>, usize) {
        let n = self.leads.len();
        // Before round k, longest[at] is the longest way of up to k steps that begins at `at`.
        let mut longest = vec![1_usize; n];
        let mut circles = BTreeSet::new();
        for at in (0..n).filter(|at| !self.waits[*at]) {
            let (mut seen, mut open) = (BTreeSet::new(), self.leads[at].clone());
            while let Some(next) = open.pop() {
                if next == at {
                    circles.insert(at);
                } else if !self.waits[next] && seen.insert(next) {
                    open.extend(&self.leads[next]);
                }
            }
        }
        for _ in 0..n {
            for at in (0..n).rev().filter(|at| !self.waits[*at] && !circles.contains(at)) {
                let next = self.leads[at].iter().filter(|next| !circles.contains(next)).map(|next| longest[*next]);
                longest[at] = 1 + next.max().unwrap_or(0);
            }
        }
        // A turn begins at the first step, or after one that waits.
        let after = |at: usize| self.leads[at].iter().map(|next| longest[*next]).max().unwrap_or(0);
        let most = (0..n).map(|at| if self.waits[at] { after(at) } else { longest[at] }).max().unwrap_or(0);
        (circles, most)
    }

    /// The steps from which some way leads to an end.
    fn leads_to_an_end(&self, steps: &Steps) -> BTreeSet<usize> {
        let mut ending: BTreeSet<usize> = (0..self.leads.len()).filter(|at| steps.0[*at].act.ends()).collect();
        loop {
            let before = ending.len();
            for at in 0..self.leads.len() {
                if self.leads[at].iter().any(|next| ending.contains(next)) {
                    ending.insert(at);
                }
            }
            if ending.len() == before {
                return ending;
            }
        }
    }
}
