//! Bots: built, checked, tried, published, compared, taken away and brought back.

use bugle::access::{Actor, Role};
use bugle::bots::examples::Example;
use bugle::bots::steps::Steps;
use bugle::bots::{actions, store};
use bugle::ids::BotId;
use bugle::people::actions::add_user;
use bugle::people::domain::NewUser;

use crate::desk::Desk;

impl Desk {
    fn bot(&self, name: &str, steps: &Steps) -> BotId {
        let (admin, now) = (self.admin, self.app.clock.now());
        self.db(|conn| actions::create(conn, name, steps, admin, now).unwrap())
    }

    fn example(&self, word: &str) -> BotId {
        let example = Example::of_word(word).unwrap();
        self.bot(example.name, &example.steps())
    }

    fn revision(&self, bot: BotId) -> String {
        self.db(|conn| store::draft(conn, bot).unwrap().revision.to_string())
    }

    /// Ids of the draft's steps, in their order.
    fn order(&self, bot: BotId) -> String {
        let steps = self.db(|conn| store::draft(conn, bot).unwrap().steps);
        steps.0.iter().map(|step| step.id.0.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn versions(&self, bot: BotId) -> Vec<i32> {
        self.db(|conn| store::versions(conn, bot).unwrap().iter().map(|version| version.n).collect())
    }
}

/// The hidden field that carries a trial.
fn trial(html: &str) -> String {
    let after = html.split("name=\"trial\" value=\"").nth(1).unwrap();
    after.split('"').next().unwrap().replace("&#34;", "\"")
}

fn clock(html: &str) -> String {
    let after = html.split("name=\"clock\" type=\"datetime-local\" value=\"").nth(1).unwrap();
    after.split('"').next().unwrap().to_owned()
}

#[actix_web::test]
async fn a_bot_is_built_checked_and_published() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.visit("/bots").await.shows("Start from an example");
    let made = desk.fill_in("/bots", &[("name", "Greeter"), ("from", "")]).await;
    let path = made.location.unwrap();
    let bot = BotId(path.rsplit('/').next().unwrap().parse().unwrap());
    let editor = desk.visit(&path).await;
    editor.shows("Write what the message says.");
    editor.shows("1 to put right");

    let early = desk.fill_in(&format!("{path}/publish"), &[("revision", &desk.revision(bot)), ("note", "mine")]).await;
    assert_eq!(early.status, 409);
    early.shows("One thing must be put right");
    early.shows("value=\"mine\"");
    assert_eq!(desk.versions(bot), [] as [i32; 0]);

    let fields = [("revision", "1"), ("name", "Hello"), ("text", "Hello #name|there#"), ("next", "")];
    let saved = desk.fill_in(&format!("{path}/steps/s1"), &fields).await;
    assert_eq!((saved.status, saved.location), (303, Some(format!("{path}?open=s1#s1-name"))));
    let editor = desk.visit(&path).await;
    editor.shows("Nothing is wrong with this bot");
    let published = desk.fill_in(&format!("{path}/publish"), &[("revision", "2"), ("note", "First")]).await;
    assert_eq!(published.status, 303);
    assert_eq!(desk.versions(bot), [1]);
    let again = desk.fill_in(&format!("{path}/publish"), &[("revision", "2")]).await;
    assert_eq!(again.status, 409);
    again.shows("Nothing has changed since version 1");
    desk.visit("/bots").await.shows("Greeter");
    desk.visit("/bots?q=nobody").await.shows("No such bot");
    let journal = desk.number("SELECT count(*) AS n FROM journal WHERE happened IN ('bot.created', 'bot.published')");
    assert_eq!(journal, 2);
}

#[actix_web::test]
async fn steps_are_added_moved_copied_and_removed_without_scripts() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.example("survey");
    let path = format!("/bots/{bot}");
    assert_eq!(desk.order(bot), "hello score why sorry human bye");
    let press = async |step: &str, button: &str| {
        let revision = desk.revision(bot);
        let fields = [("revision", revision.as_str()), ("name", "Renamed"), ("label", "unhappy"), ("press", button)];
        desk.fill_in(&format!("{path}/steps/{step}"), &fields).await
    };
    assert_eq!(press("sorry", "up").await.status, 303);
    assert_eq!(desk.order(bot), "hello score sorry why human bye");
    desk.visit(&path).await.shows("Renamed");
    press("sorry", "down").await;
    press("sorry", "duplicate").await;
    assert_eq!(desk.order(bot), "hello score why sorry s7 human bye");
    press("s7", "remove").await;
    let add =
        [("revision", &*desk.revision(bot)), ("act", "label"), ("below", "hello")].map(|(k, v)| (k, v.to_owned()));
    let add: Vec<(&str, &str)> = add.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(desk.fill_in(&format!("{path}/steps"), &add).await.status, 303);
    assert_eq!(desk.order(bot), "hello s7 score why sorry human bye");
    let revision = desk.revision(bot);
    let fields = [("revision", revision.as_str()), ("step", "bye"), ("to", "1")];
    desk.fill_in(&format!("{path}/move"), &fields).await;
    assert_eq!(desk.order(bot), "hello bye s7 score why sorry human");
}

#[actix_web::test]
async fn of_two_editors_the_second_learns_in_place_and_loses_nothing() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.example("survey");
    let path = format!("/bots/{bot}/steps/hello");
    let ben = NewUser {
        email: "ben@example.org".into(),
        name: "Ben".into(),
        role: Role::Manager,
        password: "ben's long password".into(),
    };
    let now = desk.app.clock.now();
    let ben = desk.db(|conn| add_user(conn, &ben, Actor::Shell, now).unwrap());
    desk.sql(&format!("UPDATE bot_drafts SET revision = 2, changed_by = {ben} WHERE bot_id = {bot}"));

    let mine = [("revision", "1"), ("name", "Greeting"), ("text", "What I typed"), ("next", "")];
    let late = desk.fill_in(&path, &mine).await;
    assert_eq!(late.status, 409);
    late.shows("Ben changed this bot meanwhile");
    late.shows("What I typed");
    let late = desk.fill_in_with_htmx(&path, &mine).await;
    assert_eq!(late.status, 409);
    late.shows("Ben changed this bot meanwhile");
    assert!(!late.html.contains("<html"), "only the place beside the buttons changes");
    let published = desk.fill_in(&format!("/bots/{bot}/publish"), &[("revision", "1")]).await;
    assert_eq!(published.status, 409, "nobody publishes what they have not seen");

    let current = [("revision", "2"), ("name", "Greeting"), ("text", "Now it is kept"), ("next", "")];
    let saved = desk.fill_in_with_htmx(&path, &current).await;
    assert_eq!(saved.status, 200);
    saved.shows("Saved 09:00:00");
    saved.shows("name=\"revision\" value=\"3\" hx-swap-oob=\"outerHTML:.revision\"");
    desk.visit(&format!("/bots/{bot}")).await.shows("Now it is kept");
}

#[actix_web::test]
async fn what_is_no_number_comes_back_with_what_to_do() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.example("survey");
    let fields = [("revision", "1"), ("name", "Why"), ("text", "Tell me more"), ("no_reply_after", "soon")];
    let answer = desk.fill_in(&format!("/bots/{bot}/steps/why"), &fields).await;
    assert_eq!(answer.status, 422);
    answer.shows("Write a whole number, such as 4");
    answer.shows("Tell me more");
    assert_eq!(desk.revision(bot), "1");
}

#[actix_web::test]
async fn versions_are_compared_never_change_and_can_be_gone_back_to() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.example("survey");
    let path = format!("/bots/{bot}");
    desk.fill_in(&format!("{path}/publish"), &[("revision", "1"), ("note", "First")]).await;
    let fields = [("revision", "1"), ("name", "Thanks"), ("text", "Thanks a lot!")];
    desk.fill_in(&format!("{path}/steps/bye"), &fields).await;
    let compared = desk.visit(&format!("{path}/compare?from=1&to=draft")).await;
    compared.shows("Thank you, that helps us.");
    compared.shows("Thanks a lot!");
    compared.lacks("How was it");
    desk.fill_in(&format!("{path}/publish"), &[("revision", "2"), ("note", "Second")]).await;
    desk.visit(&format!("{path}/versions")).await.shows("Second");

    assert_eq!(desk.submit(&format!("{path}/versions/1/revert")).await.status, 303);
    assert_eq!(desk.versions(bot), [3, 2, 1]);
    let same = desk.visit(&format!("{path}/compare?from=1&to=3")).await;
    same.shows("Nothing differs");
    assert_eq!(desk.order(bot), "hello score why sorry human bye");
    desk.visit(&path).await.shows("Thank you, that helps us.");
    let again = desk.submit(&format!("{path}/versions/1/revert")).await;
    assert_eq!(again.status, 409, "it already is so");

    for change in ["UPDATE bot_versions SET note = 'x'", "DELETE FROM bot_versions"] {
        let refused = desk.db(|conn| diesel::RunQueryDsl::execute(diesel::sql_query(change), conn));
        assert!(refused.unwrap_err().to_string().contains("a version of a bot never changes"));
    }
}

#[actix_web::test]
async fn going_back_leaves_an_unpublished_draft_alone() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.example("survey");
    let path = format!("/bots/{bot}");
    for (revision, text) in [("1", "Two"), ("2", "Three")] {
        desk.fill_in(&format!("{path}/publish"), &[("revision", revision)]).await;
        let fields = [("revision", revision), ("name", "Thanks"), ("text", text)];
        desk.fill_in(&format!("{path}/steps/bye"), &fields).await;
    }
    assert_eq!(desk.submit(&format!("{path}/versions/1/revert")).await.status, 303);
    desk.visit(&path).await.shows("Three");
}

#[actix_web::test]
async fn a_bot_travels_as_json_and_a_bad_one_says_where() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.example("appointment");
    let exported = desk.visit(&format!("/bots/{bot}/export?version=draft")).await;
    assert!(exported.headers.get("content-disposition").unwrap().to_str().unwrap().contains("appointment-reminder"));
    let taken = desk.upload("/bots/import", "bot.json", exported.html.as_bytes(), &[("name", "")]).await;
    assert_eq!(taken.status, 422);
    taken.shows("Another bot is called “Appointment reminder”");
    taken.shows("We have not heard from you");
    let made = desk.upload("/bots/import", "bot.json", exported.html.as_bytes(), &[("name", "Copy")]).await;
    assert_eq!(made.status, 303);
    let copy = BotId(made.location.unwrap().rsplit('/').next().unwrap().parse().unwrap());
    let steps = |bot| desk.db(|conn| store::draft(conn, bot).unwrap().steps);
    assert_eq!(steps(copy), steps(bot), "nothing was lost");

    let bad = exported.html.replace("\"understood\"", "\"guessed\"");
    let refused = desk.upload("/bots/import", "bot.json", bad.as_bytes(), &[("name", "Bad")]).await;
    assert_eq!(refused.status, 422);
    refused.shows("steps[2].routes[0]");
    refused.shows("guessed");
    assert_eq!(desk.visit("/bots/999/export?version=1").await.status, 404);
}

#[actix_web::test]
async fn a_bot_is_tried_and_the_wait_is_skipped() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.example("appointment");
    let path = format!("/bots/{bot}/try");
    let page = desk.visit(&format!("{path}?version=draft")).await;
    page.shows("Hello Ada, your appointment is on Friday at 10:30.");
    let values = "name = Ben\ndate = Monday\ntime = 9";
    let press = async |page: &str, button: &str, said: &str| {
        let (trial, clock) = (trial(page), clock(page));
        let fields = [
            ("version", "draft"),
            ("values", values),
            ("trial", &*trial),
            ("clock", &*clock),
            ("said", said),
            ("press", button),
        ];
        desk.fill_in(&path, &fields).await
    };
    let asked = press(&page.html, "say", "hm").await;
    asked.shows("Hello Ben, your appointment is on Monday");
    asked.shows("I did not get that");
    let woken = press(&asked.html, "skip", "").await;
    woken.shows("We have not heard from you");
    woken.shows("2 March 2026, 13:00");
    let no = press(&woken.html, "say", "no").await;
    no.shows("Which day would suit you better?");
    no.shows("coming = no");
    let done = press(&no.html, "say", "tomorrow").await;
    done.shows("other day = 2026-03-03");
    done.shows("Somebody will confirm 3 March 2026.");
    done.shows("handed over to the inbox");
    let back = press(&done.html, "back", "").await;
    back.lacks("2026-03-03");
    press(&done.html, "restart", "").await.lacks("Which day would suit you");
    let sent = desk.number("SELECT count(*) AS n FROM sandbox_messages");
    assert_eq!(sent, 0, "nothing leaves");
}

#[actix_web::test]
async fn the_clock_of_a_trial_jumps_forward_only_and_a_missing_value_is_told() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.example("appointment");
    let path = format!("/bots/{bot}/try");
    let page = desk.visit(&path).await;
    let trial = trial(&page.html);
    let at = async |clock: &str, values: &str| {
        let fields =
            [("version", "draft"), ("values", values), ("trial", &*trial), ("clock", clock), ("press", "clock")];
        desk.fill_in(&path, &fields).await
    };
    let later = at("2026-03-02T13:30", "date = Monday\ntime = 9").await;
    later.shows("We have not heard from you. Will you come on Monday?");
    let back = at("2026-03-02T08:00", "date = Monday").await;
    assert_eq!(back.status, 422);
    back.shows("The clock only goes forward");
    at("2026-03-02T09:00", "time = 9").await.shows("there is no value for “date”, and no fallback");
    let odd = at("2026-03-02T09:00", "no sign").await;
    assert_eq!(odd.status, 422);
    odd.shows("Line 1: write a field");
}

#[actix_web::test]
async fn a_trial_takes_a_contact_from_an_imported_file() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let file = desk.file(&crate::desk::phones(2));
    let bot = desk.example("survey");
    let page = desk.visit(&format!("/bots/{bot}/try?version=draft&file={file}&row=2")).await;
    page.shows("name = Name2");
    page.shows("Hello Name2, thank you for your visit.");
}

#[actix_web::test]
async fn who_may_only_look_can_try_a_bot_and_change_nothing() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.example("survey");
    desk.gives_the_admin_the_role(Role::Operator);
    let editor = desk.visit(&format!("/bots/{bot}")).await;
    assert_eq!(editor.status, 200);
    editor.lacks("Publish version");
    editor.lacks("Add a step");
    assert_eq!(desk.visit(&format!("/bots/{bot}/try")).await.status, 200);
    for path in ["publish", "steps", "steps/hello", "move", "rename", "archive", "versions/1/revert"] {
        let fields = [("revision", "1"), ("act", "label"), ("step", "hello"), ("to", "1")];
        assert_eq!(desk.fill_in(&format!("/bots/{bot}/{path}"), &fields).await.status, 403, "{path}");
    }
}

#[actix_web::test]
async fn an_archived_bot_is_out_of_the_way_until_it_is_restored() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.example("survey");
    assert_eq!(desk.submit(&format!("/bots/{bot}/archive")).await.status, 303);
    desk.visit("/bots").await.lacks("Survey</a>");
    desk.visit("/bots?archived=true").await.shows("Survey</a>");
    let fields = [("revision", "1"), ("name", "Thanks"), ("text", "x")];
    assert_eq!(desk.fill_in(&format!("/bots/{bot}/steps/bye"), &fields).await.status, 409);
    desk.submit(&format!("/bots/{bot}/restore")).await;
    assert_eq!(desk.fill_in(&format!("/bots/{bot}/steps/bye"), &fields).await.status, 303);
}
