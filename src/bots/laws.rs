//! domain: What holds for every bot, whatever happens to it.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Europe::Dublin;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::checks::{Severity, check, errors};
use super::conditions::{Op, Route};
use super::drawing::draw;
use super::entities::Entity;
use super::steps::{Accept, Act, Ask, Choice, NoReply, Step, StepId, Steps, To, Unit};
use super::turn::{Action, BotReply, Fault, Input, MOST_IN_A_TURN, MOST_WAKES, Memory, Turn, TurnState, turn};

fn now() -> DateTime<Utc> {
    "2026-03-02T10:00:00Z".parse().unwrap()
}

/// Steps as their JSON without braces around it; `id` and `name` are the same.
fn bot(steps: &[(&str, Value)]) -> Steps {
    let step = |(id, act): &(&str, Value)| {
        let mut act = act.clone();
        act["id"] = json!(id);
        act["name"] = json!(id);
        serde_json::from_value(act).unwrap()
    };
    Steps(steps.iter().map(step).collect())
}

fn begin(steps: &Steps, values: Value) -> Turn {
    let Value::Object(values) = values else { panic!("values are an object") };
    turn(steps, Memory::default(), Input::Begin(values), now(), Dublin)
}

fn say(steps: &Steps, memory: &Memory, text: &str) -> Turn {
    turn(steps, memory.clone(), Input::Said(text.into()), now(), Dublin)
}

fn texts(turn: &Turn) -> Vec<String> {
    let text = |reply: &'_ BotReply| match reply {
        BotReply::Text { text, .. } => Some(text.clone()),
        BotReply::Missing { .. } => None,
    };
    turn.replies.iter().filter_map(text).collect()
}

fn trace(turn: &Turn) -> String {
    turn.trace.iter().map(|id| id.0.as_str()).collect::<Vec<_>>().join(" ")
}

fn confirming() -> Steps {
    bot(&[
        ("hello", json!({"do": "message", "text": "Hello #name|there#!"})),
        (
            "ask",
            json!({"do": "ask", "text": "Will you come on #day?", "store": "coming", "retries": 1, "retry_text": "Yes or no, please.",
                "accept": {"kind": "choices", "choices": [{"value": "yes", "synonyms": ["yeah", "y"]}, {"value": "no", "synonyms": ["can't"]}]},
                "routes": [{"op": "is", "value": "yes", "to": "bye"}, {"op": "is", "value": "no", "to": "when"}], "otherwise": "human",
                "no_reply": {"after": 2, "unit": "hours", "to": "nudge"}}),
        ),
        (
            "when",
            json!({"do": "ask", "text": "Which day then?", "accept": {"kind": "entity", "entity": "date"}, "store": "day",
            "routes": [{"op": "understood", "to": "bye"}], "otherwise": "human"}),
        ),
        ("nudge", json!({"do": "message", "text": "Are you there?", "next": "ask"})),
        ("bye", json!({"do": "close", "text": "See you on #day."})),
        ("human", json!({"do": "hand_over"})),
    ])
}

#[test]
fn a_conversation_goes_its_way() {
    let steps = confirming();
    assert_eq!(check(&steps, &["name".into()]), []);
    let began = begin(&steps, json!({"name": "Ada", "day": "Friday"}));
    assert_eq!(texts(&began), ["Hello Ada!", "Will you come on Friday?"]);
    assert_eq!((trace(&began).as_str(), began.wake), ("hello ask", Some(now() + TimeDelta::hours(2))));

    let yes = say(&steps, &began.memory, "Yeah, sure");
    assert_eq!(texts(&yes), ["See you on Friday."]);
    let kept = Action::SetField { field: "coming".into(), value: "yes".into() };
    assert_eq!(yes.did, [kept, Action::Close]);
    assert_eq!((yes.memory.state.clone(), yes.wake), (TurnState::Closed, None));

    let no = say(&steps, &began.memory, "I can’t");
    assert_eq!(trace(&no), "when");
    let day = say(&steps, &no.memory, "tomorrow?");
    assert_eq!(texts(&day), ["See you on 3 March 2026."], "what is kept counts before what was known");
}

#[test]
fn what_is_not_understood_is_asked_again_and_then_follows_the_default_route() {
    let steps = confirming();
    let began = begin(&steps, json!({"day": "Friday"}));
    assert_eq!(texts(&began)[0], "Hello there!");
    let again = say(&steps, &began.memory, "hm");
    assert_eq!((texts(&again), trace(&again)), (vec!["Yes or no, please.".to_owned()], "ask".to_owned()));
    let both = say(&steps, &again.memory, "yes and no");
    assert_eq!((trace(&both).as_str(), &both.memory.state), ("human", &TurnState::HandedOver));
    assert_eq!(both.did, [Action::HandOver]);
    assert_eq!(both.memory.kept.get("coming"), None, "only answers are kept");
    assert_eq!(say(&steps, &both.memory, "hello?").replies, [], "the bot is silent after a hand-over");
}

#[test]
fn without_a_reply_it_takes_the_other_path_only_when_the_time_has_come() {
    let steps = confirming();
    let began = begin(&steps, json!({"day": "Friday"}));
    let due = began.wake.unwrap();
    let early = turn(&steps, began.memory.clone(), Input::Woke, due - TimeDelta::seconds(1), Dublin);
    assert_eq!((early.replies.len(), early.wake, &early.memory), (0, Some(due), &began.memory));
    let woke = turn(&steps, began.memory.clone(), Input::Woke, due, Dublin);
    assert_eq!((trace(&woke).as_str(), woke.wake), ("nudge ask", Some(due + TimeDelta::hours(2))));
    let over = say(&steps, &say(&steps, &say(&steps, &woke.memory, "?").memory, "?").memory, "?");
    let late = turn(&steps, over.memory.clone(), Input::Woke, due + TimeDelta::days(3), Dublin);
    assert_eq!((late.replies.len(), late.wake), (0, None), "it ends at the hand-over");
}

#[test]
fn nobody_is_reminded_for_ever() {
    let steps = confirming();
    let mut last = begin(&steps, json!({"day": "Friday"}));
    let mut n = 0;
    while let Some(due) = last.wake {
        last = turn(&steps, last.memory, Input::Woke, due, Dublin);
        n += 1;
        assert!(n <= MOST_WAKES, "reminded again and again");
    }
    assert_eq!(n, MOST_WAKES);
    assert!(say(&steps, &last.memory, "hm").wake.is_some(), "a reply begins it anew");
}

#[test]
fn a_missing_value_without_a_fallback_stops_that_message_alone() {
    let steps = confirming();
    let began = begin(&steps, json!({}));
    assert_eq!(texts(&began), ["Hello there!"]);
    assert_eq!(began.replies[1], BotReply::Missing { step: StepId("ask".into()), field: "day".into() });
    let stranger = bot(&[("a", json!({"do": "message", "text": "Dear #title"})), ("b", json!({"do": "close"}))]);
    let missing = BotReply::Missing { step: StepId("a".into()), field: "title".into() };
    assert_eq!(begin(&stranger, json!({})).replies, [missing], "a contact never reads #title");
}

#[test]
fn branches_labels_and_fields_work_without_a_reply() {
    let steps = bot(&[
        ("find", json!({"do": "entity", "entity": "email", "field": "note", "store": "mail", "otherwise": "far"})),
        ("set", json!({"do": "set_field", "field": "Greeting", "value": "\u{3000}To #mail\u{2003}"})),
        (
            "split",
            json!({"do": "branch", "routes": [
            {"field": "balance", "op": "more_than", "value": "100", "to": "far"},
            {"op": "weekday", "value": "Mon", "to": "near"}]}),
        ),
        ("far", json!({"do": "block", "text": "No."})),
        ("near", json!({"do": "label", "label": "Good"})),
        ("end", json!({"do": "close", "text": "#greeting"})),
    ]);
    let near = begin(&steps, json!({"note": "write to ADA@Example.org", "balance": 100}));
    assert_eq!(
        (trace(&near), texts(&near).concat()),
        ("find set split near end".to_owned(), "To ADA@example.org".to_owned())
    );
    assert_eq!(near.did.last(), Some(&Action::Close));
    assert!(near.did.contains(&Action::Label("Good".into())));
    let far = begin(&steps, json!({"note": "a@b.ie", "balance": "1,000"}));
    assert_eq!((trace(&far).as_str(), far.did.last()), ("find set split far", Some(&Action::Block)));
    assert_eq!(trace(&begin(&steps, json!({}))), "find far");
}

#[test]
fn whoever_writes_first_is_heard_by_the_first_branch() {
    let steps = bot(&[
        ("split", json!({"do": "branch", "routes": [{"op": "has_word", "value": "bill", "to": "bill"}]})),
        ("other", json!({"do": "hand_over"})),
        ("bill", json!({"do": "close", "text": "About your bill."})),
    ]);
    assert_eq!(texts(&say(&steps, &Memory::default(), "My bill!")), ["About your bill."]);
}

#[test]
fn a_bot_that_goes_in_circles_is_refused_and_would_be_parked() {
    let steps = bot(&[
        ("a", json!({"do": "message", "text": "tick", "next": "b"})),
        ("b", json!({"do": "message", "text": "tock", "next": "a"})),
    ]);
    assert!(check(&steps, &[]).iter().any(|finding| finding.says.contains("for ever")));
    let parked = begin(&steps, json!({}));
    assert_eq!(parked.memory.state, TurnState::Parked { fault: Fault::TooManySteps });
    assert_eq!(parked.trace.len(), MOST_IN_A_TURN);
    assert_eq!(say(&steps, &parked.memory, "?").replies, [], "and stays parked");
}

/// The findings of a step, as `error` or `warning` and their first words.
fn found(steps: &Steps, id: &str) -> Vec<(Severity, String)> {
    let of = |finding: &&super::checks::Finding| finding.step.as_ref().is_some_and(|step| step.0 == id);
    check(steps, &["name".into()]).iter().filter(of).map(|finding| (finding.severity, finding.says.clone())).collect()
}

#[track_caller]
fn finds(steps: &[(&str, Value)], id: &str, severity: Severity, says: &str) {
    let found = found(&bot(steps), id);
    assert!(found.iter().any(|(how, words)| *how == severity && words.contains(says)), "{says:?} in {found:?}");
}

#[test]
fn each_mistake_is_found_where_it_is() {
    use Severity::{Error, Warning};
    let end = ("end", json!({"do": "close"}));
    let message = |next: &str| json!({"do": "message", "text": "Hi", "next": next});
    finds(&[("a", message("end")), ("b", message("end")), end.clone()], "b", Warning, "Nothing leads here");
    finds(&[("a", json!({"do": "message", "text": "Hi"}))], "a", Error, "dead end");
    finds(&[("a", message("gone")), end.clone()], "a", Error, "“gone”, which does not exist");
    finds(&[("a", message("a")), end.clone()], "a", Error, "go round for ever");
    finds(&[("a", json!({"do": "ask", "text": "?", "otherwise": "a"})), end.clone()], "a", Error, "never end");
    finds(&[("a", json!({"do": "message", "text": " "})), end.clone()], "a", Error, "what the message says");
    finds(&[("a", json!({"do": "ask", "text": ""})), end.clone()], "a", Error, "what is asked");
    finds(&[("a", json!({"do": "ask", "text": "?", "retries": 1})), end.clone()], "a", Error, "not understood");
    finds(&[("a", json!({"do": "ask", "text": "?"})), end.clone()], "a", Warning, "makes no difference");
    finds(
        &[("a", json!({"do": "ask", "text": "?", "accept": {"kind": "choices", "choices": []}})), end.clone()],
        "a",
        Error,
        "one in a line",
    );
    finds(
        &[("a", json!({"do": "ask", "text": "?", "no_reply": {"after": 0, "unit": "hours"}})), end.clone()],
        "a",
        Error,
        "at least a minute",
    );
    finds(&[("a", json!({"do": "branch"})), end.clone()], "a", Warning, "only ever goes one way");
    finds(
        &[("a", json!({"do": "branch", "routes": [{"op": "more_than", "value": "x"}]})), end.clone()],
        "a",
        Error,
        "Condition 1: Write a number",
    );
    finds(&[("a", json!({"do": "label", "label": ""})), end.clone()], "a", Error, "Write the label");
    finds(
        &[("a", json!({"do": "set_field", "field": "", "value": "x"})), end.clone()],
        "a",
        Error,
        "which field is set",
    );
    finds(
        &[("a", json!({"do": "set_field", "field": "a#b", "value": "x"})), end.clone()],
        "a",
        Error,
        "cannot be a field",
    );
    finds(&[("a", json!({"do": "message", "text": "Dear #title"})), end.clone()], "a", Warning, "No step sets “title”");
    finds(&[("a", message("end")), ("a", message("end")), end.clone()], "a", Error, "Two steps have the id");
    finds(&[("a", message("end")), ("A", message("end")), end.clone()], "A", Warning, "Another step is called");
    for fine in ["Dear #name", "Dear #title|you#", "##title"] {
        assert_eq!(found(&bot(&[("a", json!({"do": "message", "text": fine})), end.clone()]), "a"), [], "{fine}");
    }
    assert_eq!(errors(&check(&Steps::default(), &[])), 1);
}

#[test]
fn a_chain_longer_than_a_turn_is_refused() {
    let chain = |n: usize| {
        let step = |i: usize| Step {
            id: StepId(format!("s{i}")),
            name: format!("s{i}"),
            act: if i + 1 < n {
                Act::Message { text: "x".into(), next: None }
            } else {
                Act::Close { text: String::new() }
            },
        };
        Steps((0..n).map(step).collect())
    };
    assert_eq!(check(&chain(MOST_IN_A_TURN), &[]), []);
    assert_eq!(begin(&chain(MOST_IN_A_TURN), json!({})).memory.state, TurnState::Closed);
    assert_eq!(errors(&check(&chain(MOST_IN_A_TURN + 1), &[])), 1);
    let parked = begin(&chain(MOST_IN_A_TURN + 1), json!({})).memory.state;
    assert_eq!(parked, TurnState::Parked { fault: Fault::TooManySteps });
}

// ---- bots that nobody wrote ----

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just("Hello #name|there#".to_owned()), Just("#answer?".to_owned()), "[a-z #|]{1,20}x"]
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![Just("yes, ok".to_owned()), Just("no".to_owned()), "[a-z]{1,6}"]
}

fn entity() -> impl Strategy<Value = Entity> {
    (0..Entity::ALL.len()).prop_map(|n| Entity::ALL[n])
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![Just("name".to_owned()), Just("answer".to_owned()), Just("score".to_owned())]
}

/// A condition with something fitting to compare with.
fn condition(to: impl Strategy<Value = To>) -> impl Strategy<Value = Route> {
    let op = prop_oneof![
        (prop_oneof![Just(Op::Is), Just(Op::HasWord), Just(Op::Contains), Just(Op::StartsWith)], words()),
        (prop_oneof![Just(Op::LessThan), Just(Op::AtLeast), Just(Op::Equals)], (0..100_u8).prop_map(|n| n.to_string())),
        (prop_oneof![Just(Op::Before), Just(Op::On), Just(Op::After)], "today( ?[-+–—]1)?"),
        (prop_oneof![Just(Op::IsEmpty), Just(Op::IsNotEmpty), Just(Op::Understood)], Just(String::new())),
        (Just(Op::IsA), entity().prop_map(|entity| entity.word().to_owned())),
        (Just(Op::TimeBetween), Just("09:00-17:00".to_owned())),
        (Just(Op::Weekday), Just("mon, sat".to_owned())),
    ];
    (prop::option::of(field()), op, to).prop_map(|(field, (op, value), to)| Route { field, op, value, to })
}

fn accept() -> impl Strategy<Value = Accept> {
    let choice = |value: &str, synonyms: &[&str]| Choice {
        value: value.into(),
        synonyms: synonyms.iter().map(|word| (*word).to_owned()).collect(),
    };
    prop_oneof![
        Just(Accept::Text),
        entity().prop_map(|entity| Accept::Entity { entity }),
        Just(Accept::Choices { choices: vec![choice("yes", &["ok", "y"]), choice("no", &[])] }),
    ]
}

/// An act of which what does not wait goes on as `on` says, and replies as `back` says.
fn act(
    on: impl Strategy<Value = To> + Clone + 'static,
    back: impl Strategy<Value = To> + Clone + 'static,
) -> BoxedStrategy<Act> {
    let unit = prop_oneof![Just(Unit::Minutes), Just(Unit::Hours), Just(Unit::Days)];
    let no_reply = (1..30_u32, unit, back.clone()).prop_map(|(after, unit, to)| NoReply { after, unit, to });
    let routes = prop::collection::vec(condition(on.clone()), 0..3);
    let ask = (
        (text(), accept(), field(), 0..3_u8, text()),
        (prop::collection::vec(condition(back), 0..3), on.clone(), prop::option::of(no_reply)),
    );
    prop_oneof![
        (text(), on.clone()).prop_map(|(text, next)| Act::Message { text, next }),
        ask.prop_map(|((text, accept, store, retries, retry_text), (routes, otherwise, no_reply))| {
            Act::Ask(Ask { text, accept, store, retries, retry_text, routes, otherwise, no_reply })
        }),
        (entity(), prop::option::of(field()), field(), on.clone(), on.clone())
            .prop_map(|(entity, field, store, next, otherwise)| Act::Entity { entity, field, store, next, otherwise }),
        (routes, on.clone()).prop_map(|(routes, otherwise)| Act::Branch { routes, otherwise }),
        (field(), text(), on.clone()).prop_map(|(field, value, next)| Act::SetField { field, value, next }),
        ("[a-z]{1,5}", on).prop_map(|(label, next)| Act::Label { label, next }),
        Just(Act::HandOver { text: String::new() }),
        Just(Act::Close { text: "Bye".into() }),
    ]
    .boxed()
}

fn named(acts: Vec<Act>) -> Steps {
    let step = |(n, act)| Step { id: StepId(format!("s{n}")), name: format!("Step {n}"), act };
    Steps(acts.into_iter().enumerate().map(step).collect())
}

fn to(n: usize) -> To {
    Some(StepId(format!("s{n}")))
}

/// Bots that pass the checks: without a reply they only go down, and the last step ends.
fn sound() -> impl Strategy<Value = Steps> {
    (2..15_usize).prop_flat_map(|n| {
        let acts = (0..n - 1).map(|at| act((at + 1..n).prop_map(to), (0..n).prop_map(to))).collect::<Vec<_>>();
        acts.prop_map(|mut acts| {
            acts.push(Act::Close { text: "Bye".into() });
            named(acts)
        })
    })
}

/// Bots of which anything may be wrong.
fn wild() -> impl Strategy<Value = Steps> {
    (0..12_usize).prop_flat_map(|n| {
        let anywhere = prop::option::of((0..n + 2).prop_map(|n| StepId(format!("s{n}"))));
        prop::collection::vec(act(anywhere.clone(), anywhere), n).prop_map(named)
    })
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let said =
        prop_oneof![words(), Just("tomorrow".to_owned()), Just("12".to_owned()), Just(String::new()), "\\PC{0,12}"];
    prop::collection::vec(prop_oneof![3 => said.prop_map(Input::Said), 1 => Just(Input::Woke)], 0..25)
}

fn values() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map(field(), "[a-z0-9]{0,5}", 0..3)
        .prop_map(|values| values.into_iter().map(|(field, value)| (field, value.into())).collect())
}

/// All turns of a conversation, the clock standing at the wake where there is one.
fn told(steps: &Steps, values: Map<String, Value>, inputs: Vec<Input>) -> Vec<(Memory, Input, Turn)> {
    let (mut memory, mut at, mut wake) = (Memory::default(), now(), None);
    let mut turns = Vec::new();
    for input in std::iter::once(Input::Begin(values)).chain(inputs) {
        if let (Input::Woke, Some(due)) = (&input, wake) {
            at = due;
        }
        let taken = turn(steps, memory.clone(), input.clone(), at, Dublin);
        assert_eq!(turn(steps, memory.clone(), input.clone(), at, Dublin), taken, "the same again is the same");
        wake = taken.wake;
        turns.push((std::mem::replace(&mut memory, taken.memory.clone()), input, taken));
    }
    turns
}

proptest! {
    #[test]
    fn a_sound_bot_never_parks_and_waits_or_ends_in_every_turn(steps in sound(), values in values(), inputs in inputs()) {
        let findings = check(&steps, &["name".into(), "answer".into(), "score".into()]);
        prop_assert_eq!(errors(&findings), 0, "{:?}", findings);
        for (_, _, taken) in told(&steps, values, inputs) {
            prop_assert!(taken.trace.len() <= MOST_IN_A_TURN);
            prop_assert!(!matches!(taken.memory.state, TurnState::Parked { .. } | TurnState::New), "{:?}", taken.memory.state);
            // No step twice without a wait in between.
            let mut once = taken.trace.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), taken.trace.len());
            prop_assert_eq!(taken.wake.is_some() && taken.memory.wakes == 0, match &taken.memory.state {
                TurnState::Waiting { step, .. } => {
                    let Act::Ask(ask) = &steps.get(step).unwrap().act else { panic!("waits at an ask") };
                    ask.no_reply.is_some() && taken.memory.wakes == 0
                }
                _ => false,
            });
        }
    }

    #[test]
    fn any_bot_comes_to_rest_in_every_turn(steps in wild(), values in values(), inputs in inputs()) {
        for (_, _, taken) in told(&steps, values, inputs) {
            prop_assert!(taken.trace.len() <= MOST_IN_A_TURN);
            prop_assert!(taken.memory.state != TurnState::New);
        }
        prop_assert_eq!(draw(&steps).boxes.len(), steps.0.len());
    }

    #[test]
    fn what_the_checks_let_pass_never_parks(steps in wild(), values in values(), inputs in inputs()) {
        if errors(&check(&steps, &[])) == 0 {
            for (_, _, taken) in told(&steps, values, inputs) {
                prop_assert!(!matches!(taken.memory.state, TurnState::Parked { .. }), "{:?}", taken.memory.state);
            }
        }
    }

    #[test]
    fn steps_and_memory_come_back_from_json(steps in wild(), values in values(), inputs in inputs()) {
        let text = serde_json::to_string(&steps).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Steps>(&text).unwrap(), &steps);
        for (_, _, taken) in told(&steps, values, inputs) {
            let text = serde_json::to_string(&taken.memory).unwrap();
            prop_assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), taken.memory);
        }
    }

    #[test]
    fn unknown_input_follows_the_default_route(steps in sound(), values in values(), inputs in inputs()) {
        for (before, input, taken) in told(&steps, values, inputs) {
            let (TurnState::Waiting { step, tries, .. }, Input::Said(said)) = (&before.state, &input) else { continue };
            let at = steps.place(step).unwrap();
            let Act::Ask(ask) = &steps.0[at].act else { panic!("waits at an ask") };
            // A blank reply is no answer to anything.
            if !said.trim().is_empty() { continue }
            if *tries < ask.retries {
                let TurnState::Waiting { step: at, tries: n, .. } = &taken.memory.state else { panic!("waits again") };
                prop_assert_eq!((at, *n), (step, tries + 1));
            } else {
                let default = steps.follow(at, &ask.otherwise).unwrap();
                prop_assert_eq!(&taken.trace[0], &steps.0[default].id);
            }
        }
    }
}
