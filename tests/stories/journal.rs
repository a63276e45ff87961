//! Whatever somebody changes, the journal says so.

use std::collections::BTreeSet;
use std::path::Path;

use bugle::access::{Actor, Role};
use bugle::people::actions::add_user;
use bugle::people::domain::NewUser;

use crate::desk::{Answer, Desk};
use crate::talking::{SURVEY, THANKS};

/// Buttons after which nothing is another way than before, and doors of which each call is kept as
/// what it is: a message, a receipt.
const NOT_NOTED: [&str; 19] = [
    "/bots/{id}/try",
    "/campaigns/quick/check",
    "/campaigns/quick/measure",
    "/campaigns/{id}/instants",
    "/campaigns/{id}/lists/count",
    "/channels/paste",
    "/channels/{id}/check",
    "/channels/{id}/templates/fetch",
    "/inbox/{id:\\\\d+}/measure",
    "/lists/check",
    "/lists/preview",
    "/phones/{number}",
    "/webchat/{channel}/ack",
    "/webchat/{channel}/media",
    "/webchat/{channel}/messages",
    "/webchat/{channel}/visitors",
    "/webhooks/{channel}",
    "/webhooks/{channel}/{door:.*}",
    "/wording/measure",
];

/// Somebody who looks into the journal after every button.
struct Auditor {
    desk: Desk,
    pressed: BTreeSet<&'static str>,
}

impl Auditor {
    async fn at(time: &str) -> Auditor {
        Auditor { desk: Desk::open_at(time).await, pressed: BTreeSet::new() }
    }

    fn n(&self) -> i64 {
        self.desk.number("SELECT count(*) AS n FROM journal")
    }

    /// Presses a button of this route, and finds at least one new line by the admin.
    async fn press(&mut self, route: &'static str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let before = self.n();
        let answer = self.desk.fill_in(path, fields).await;
        self.noted(route, before, answer)
    }

    fn noted(&mut self, route: &'static str, before: i64, answer: Answer) -> Answer {
        // A page that answers a form itself would hand it in again when it is loaded anew.
        assert!(matches!(answer.status, 200 | 303), "{route}: {} {}", answer.status, answer.html);
        assert!(!answer.html.contains("<html"), "{route} answers with a page of its own:\n{}", answer.html);
        assert!(self.n() > before, "{route} changed something, and the journal does not know");
        self.pressed.insert(route);
        answer
    }

    async fn upload(&mut self, route: &'static str, path: &str, name: &str, bytes: &str, fields: &[(&str, &str)]) {
        let before = self.n();
        let answer = self.desk.upload(path, name, bytes.as_bytes(), fields).await;
        self.noted(route, before, answer);
    }

    fn id(&self, sql: &str) -> i64 {
        self.desk.number(&format!("SELECT {sql}"))
    }
}

#[actix_web::test]
async fn no_button_that_changes_something_is_missing_in_the_journal() {
    let mut pressed: BTreeSet<&str> = NOT_NOTED.into();
    // Pressed in `history.rs`, which loses some first.
    pressed.insert("/lost-history");
    // Pressed in `callbacks.rs`, where somebody can be called.
    pressed.insert("/channels/{id}/listen");
    pressed.extend(of_people_and_settings().await);
    pressed.extend(of_contacts_and_lists().await);
    pressed.extend(of_bots_and_phones().await);
    pressed.extend(of_drafts().await);
    pressed.extend(of_running_ones().await);
    pressed.extend(of_daily_files().await);
    pressed.extend(of_conversations().await);
    let mut there = BTreeSet::new();
    routes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut there);
    let missing: Vec<_> = there.iter().filter(|route| !pressed.contains(route.as_str())).collect();
    assert!(missing.is_empty(), "nobody has pressed {missing:#?}");
    let gone: Vec<_> = pressed.iter().filter(|route| !there.contains(**route)).collect();
    assert!(gone.is_empty(), "there is no {gone:#?}");
}

/// The address of every handler that takes a POST, as the source has it.
fn routes(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            routes(&path, into);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let address = |rest: &str| rest.split_once('"').unwrap().0.to_owned();
            into.extend(text.split("#[post(\"").skip(1).map(address));
            // Those that answer to several methods.
            let several = text.split("#[route(\"").skip(1);
            into.extend(several.filter(|rest| rest.split_once(']').unwrap().0.contains("\"POST\"")).map(address));
        }
    }
}

async fn of_people_and_settings() -> BTreeSet<&'static str> {
    let mut it = Auditor::at("2026-03-02 09:00").await;
    let new = NewUser {
        email: "ben@example.org".into(),
        name: "Ben".into(),
        role: Role::Operator,
        password: "a long password of theirs".into(),
    };
    let now = it.desk.app.clock.now();
    let ben = it.desk.db(|conn| add_user(conn, &new, Actor::Shell, now).unwrap());
    let added =
        [("name", "Cleo"), ("email", "cleo@example.org"), ("role", "viewer"), ("password", "also a long password")];
    it.press("/settings/people", "/settings/people", &added).await;
    let of = |what: &str| format!("/settings/people/{ben}/{what}");
    let who = [("name", "Benjamin"), ("email", "ben@example.org")];
    it.press("/settings/people/{id}", &format!("/settings/people/{ben}"), &who).await;
    it.press("/settings/people/{id}/role", &of("role"), &[("role", "manager")]).await;
    it.press("/settings/people/{id}/password", &of("password"), &[("password", "one more long password")]).await;
    it.press("/settings/people/{id}/disable", &of("disable"), &[]).await;
    it.press("/settings/people/{id}/enable", &of("enable"), &[]).await;

    it.press("/settings/quiet", "/settings/quiet", &[("quiet_from", "21:00"), ("quiet_to", "08:00")]).await;
    it.press("/settings/cap", "/settings/cap", &[("cap_messages", "3"), ("cap_days", "7")]).await;
    let above = [("approval", "above"), ("approval_above", "1000")];
    it.press("/settings/approval", "/settings/approval", &above).await;
    let day = [("name", "Christmas"), ("first_day", "2026-12-25"), ("last_day", "2026-12-26")];
    it.press("/settings/blackouts", "/settings/blackouts", &day).await;
    it.press("/settings/blackouts/copy", "/settings/blackouts/copy", &[("year", "2027")]).await;
    it.press("/settings/blackouts/{day}/remove", "/settings/blackouts/2026-12-26/remove", &[]).await;

    let dutch = [("was", ""), ("name", "Dutch"), ("stop", "afmelden"), ("start", "aan"), ("help", "hulp")];
    let dutch = [&dutch[..], &[("stopped", "Klaar."), ("started", "Weer aan."), ("helped", "")]].concat();
    it.press("/settings/consent/language", "/settings/consent/language", &dutch).await;
    let channel = it.desk.channel.to_string();
    let natural = [("natural", channel.as_str())];
    it.press("/settings/consent/channels", "/settings/consent/channels", &natural).await;
    let remove = "/settings/consent/language/remove";
    it.press(remove, remove, &[("was", "Dutch")]).await;
    it.press("/settings/consent/reset", "/settings/consent/reset", &[]).await;

    let sms = [("name", "Offers"), ("kind", "whatsapp"), ("sender", "Bugle"), ("per_minute", ""), ("latency_ms", "10")];
    let rest = [("latency_to_ms", "20"), ("long_tail", "0"), ("error_rate", "0"), ("per_second", "0")];
    let receipts = [("receipt_ms", "100"), ("silence_ms", "100"), ("seed", "7")];
    let sms = [&sms[..], &rest, &receipts].concat();
    it.press("/channels", "/channels", &sms).await;
    let id = it.id("max(id) AS n FROM channels");
    let mut slower = sms.clone();
    slower[3].1 = "90";
    it.press("/channels/{id}", &format!("/channels/{id}"), &slower).await;
    let mine = [("to", "+353861234567"), ("text", "Hello")];
    it.press("/channels/{id}/test", &format!("/channels/{id}/test"), &mine).await;
    let viber = [("name", "Bot"), ("kind", "viber"), ("provider", "viber"), ("sender", "Bugle"), ("auth_token", "x")];
    it.press("/channels", "/channels", &viber).await;
    let bot = it.id("max(id) AS n FROM channels");
    it.press("/channels/{id}/tell-address", &format!("/channels/{bot}/tell-address"), &[]).await;
    it.desk.sql("UPDATE channels SET unheard = true");
    it.press("/channels/{id}/go-on", &format!("/channels/{bot}/go-on"), &[]).await;

    it.press("/account/alerts", "/account/alerts", &[("alerts", "both")]).await;
    let own = [("current", "admin password"), ("password", "a new and long password")];
    it.press("/account/password", "/account/password", &own).await;
    let wrong = it.n();
    let refused = it.desk.fill_in("/sign-in", &[("email", "ben@example.org"), ("password", "not this one")]).await;
    assert_eq!(refused.status, 422);
    let line = "count(*) AS n FROM journal WHERE happened = 'user.sign_in_failed' AND nobody = 'stranger'";
    assert_eq!((it.n() - wrong, it.id(line)), (1, 1));
    it.desk.later(60);
    it.press("/sign-in", "/sign-in", &[("email", "ben@example.org"), ("password", "one more long password")]).await;
    let cookie = it.desk.sign_in("ben@example.org", "one more long password").await;
    let before = it.n();
    let out = actix_web::test::TestRequest::post().uri("/sign-out").insert_header(("Sec-Fetch-Site", "same-origin"));
    let answer = it.desk.send(out.cookie(cookie)).await;
    it.noted("/sign-out", before, answer);
    it.pressed
}

async fn of_contacts_and_lists() -> BTreeSet<&'static str> {
    let mut it = Auditor::at("2026-03-02 09:00").await;
    let rows = "phone,name,city\n+12025550101,Anna,Cork\n+12025550102,Ben,Galway\n";
    it.upload("/files", "/files", "people.csv", rows, &[("kind", "sms")]).await;
    let mapping = [("use-0", "channel_id"), ("use-1", "data"), ("use-2", "data"), ("region", "everywhere")];
    let reading = [("encoding", "windows-1250"), ("header_row", "1")];
    it.press("/files/{id}/read", "/files/1/read", &reading).await;
    it.press("/files/{id}/import", "/files/1/import", &mapping).await;
    bugle::engine::importer::tick(&it.desk.app).await.unwrap();
    it.upload("/files", "/files", "more.csv", rows, &[("kind", "sms")]).await;
    it.press("/files/{id}/import", "/files/2/import", &mapping).await;
    it.press("/files/{id}/cancel", "/files/2/cancel", &[]).await;
    bugle::engine::importer::tick(&it.desk.app).await.unwrap();
    it.press("/files/{id}/delete", "/files/2/delete", &[]).await;
    it.upload("/files", "/files", "potsdam.csv", "phone\n49331123456\n", &[("kind", "sms")]).await;
    let german = [("use-0", "channel_id"), ("region", "DE")];
    it.press("/files/{id}/import", "/files/3/import", &german).await;
    bugle::engine::importer::tick(&it.desk.app).await.unwrap();
    it.press("/files/{id}/two-ways", "/files/3/two-ways", &[("two_ways", "inside")]).await;

    let contact = it.id("min(id) AS n FROM contacts");
    let known = [("customer_id", "18"), ("field", "city"), ("value", "Sligo")];
    it.press("/contacts/{id}", &format!("/contacts/{contact}"), &known).await;
    let blocked = [("kind", "sms"), ("region", ""), ("address", "+12025550177"), ("until", ""), ("why", "asked")];
    it.press("/blocklist", "/blocklist", &blocked).await;
    it.press("/blocklist/{id}/remove", "/blocklist/1/remove", &[]).await;
    let pasted = [("kind", "sms"), ("region", "everywhere"), ("text", "+12025550178\n+12025550179")];
    it.upload("/blocklist/import", "/blocklist/import", "", "", &pasted).await;

    let pasted = [("name", "Pasted"), ("kind", "sms"), ("region", "everywhere"), ("text", "+12025550101")];
    it.upload("/lists", "/lists", "", "", &pasted).await;
    let list = it.id("max(id) AS n FROM lists");
    it.upload(
        "/lists/{id}/add",
        &format!("/lists/{list}/add"),
        "",
        "",
        &[("region", "everywhere"), ("text", "+12025550102")],
    )
    .await;
    it.press("/lists/{id}/rename", &format!("/lists/{list}/rename"), &[("name", "Best")]).await;
    let remove = format!("/lists/{list}/members/{contact}/remove");
    it.press("/lists/{id}/members/{contact}/remove", &remove, &[]).await;
    it.press("/lists/{id}/delete", &format!("/lists/{list}/delete"), &[]).await;
    it.press("/lists/new/file", "/lists/new/file", &[("name", "March"), ("file", "1")]).await;
    let filter = [("name", "Cork"), ("kind", "sms"), ("join", "any"), ("do", "save")];
    let cork = [&filter[..], &[("field-0", "value:city"), ("op-0", "contains"), ("value-0", "cork")]].concat();
    it.press("/lists/new/filter", "/lists/new/filter", &cork).await;
    let id = it.id("max(id) AS n FROM lists");
    let galway = [&filter[..], &[("field-0", "value:city"), ("op-0", "contains"), ("value-0", "galway")]].concat();
    it.press("/lists/{id}/filter", &format!("/lists/{id}/filter"), &galway).await;

    // And what is taken away.
    for path in ["/contacts.csv", "/blocklist.csv", &format!("/lists/{id}/members.csv"), "/files/1/problems.csv"] {
        let before = it.n();
        assert_eq!(it.desk.visit(path).await.status, 200, "{path}");
        assert_eq!(it.n(), before + 1, "{path}");
    }
    assert_eq!(it.desk.visit("/lists/99/members.csv").await.status, 404);
    let taken =
        "count(*) AS n FROM journal WHERE happened = 'table.exported' AND why = '/contacts.csv' AND user_id > 0";
    assert_eq!(it.id(taken), 1);
    assert_eq!(it.id("count(*) AS n FROM journal WHERE happened = 'table.exported' AND why LIKE '%99%'"), 0);
    it.pressed
}

async fn of_bots_and_phones() -> BTreeSet<&'static str> {
    let mut it = Auditor::at("2026-03-02 09:00").await;
    let made = it.press("/bots", "/bots", &[("name", "Greeter"), ("from", "")]).await;
    let path = made.location.unwrap();
    let step = [("revision", "1"), ("name", "Hello"), ("text", "Hello #name|there#"), ("next", "")];
    it.press("/bots/{id}/steps/{step}", &format!("{path}/steps/s1"), &step).await;
    it.press("/bots/{id}/publish", &format!("{path}/publish"), &[("revision", "2"), ("note", "First")]).await;
    let step = [("revision", "2"), ("name", "Hello"), ("text", "Good morning"), ("next", "")];
    it.press("/bots/{id}/steps/{step}", &format!("{path}/steps/s1"), &step).await;
    it.press("/bots/{id}/publish", &format!("{path}/publish"), &[("revision", "3"), ("note", "Second")]).await;
    it.press("/bots/{id}/versions/{n}/revert", &format!("{path}/versions/1/revert"), &[]).await;
    let revision = it.id("max(revision)::bigint AS n FROM bot_drafts").to_string();
    let add = [("revision", &*revision), ("act", "label"), ("below", "s1")];
    it.press("/bots/{id}/steps", &format!("{path}/steps"), &add).await;
    let revision = it.id("max(revision)::bigint AS n FROM bot_drafts").to_string();
    let first = [("revision", &*revision), ("step", "s2"), ("to", "0")];
    it.press("/bots/{id}/move", &format!("{path}/move"), &first).await;
    it.press("/bots/{id}/rename", &format!("{path}/rename"), &[("name", "Host")]).await;
    it.press("/bots/{id}/archive", &format!("{path}/archive"), &[]).await;
    it.press("/bots/{id}/restore", &format!("{path}/restore"), &[]).await;
    let before = it.n();
    let exported = it.desk.visit(&format!("{path}/export?version=1")).await;
    assert_eq!((exported.status, it.n()), (200, before + 1));
    it.upload("/bots/import", "/bots/import", "host.json", &exported.html, &[("name", "Host again")]).await;

    let rule = [("pattern", ""), ("replies", "ok"), ("chance", "100"), ("after_s", "10"), ("to_s", "20")];
    it.press("/phones/rules", "/phones/rules", &rule).await;
    let id = it.id("min(id) AS n FROM sandbox_rules");
    let mut rarer = rule;
    rarer[2].1 = "50";
    it.press("/phones/rules/{id}", &format!("/phones/rules/{id}"), &rarer).await;
    it.press("/phones/rules/{id}/press", &format!("/phones/rules/{id}/press"), &[("press", "off")]).await;
    it.press("/phones/rules/all", "/phones/rules/all", &[("press", "on")]).await;
    it.press("/phones/rules/{id}/press", &format!("/phones/rules/{id}/press"), &[("press", "remove")]).await;
    it.press("/phones/rules/usual", "/phones/rules/usual", &[]).await;
    it.pressed
}

async fn of_drafts() -> BTreeSet<&'static str> {
    let mut it = Auditor::at("2026-03-02 08:00").await;
    let new = [("name", "Offer"), ("kind", "once_off"), ("time_zone", "UTC")];
    let path = it.press("/campaigns", "/campaigns", &new).await.location.unwrap();
    let path = path.strip_suffix("/edit").unwrap().to_owned();
    let rows = "phone,name,city\n+12025550101,Anna,Cork\n+12025550102,Ben,Galway\n";
    it.upload("/campaigns/{id}/file", &format!("{path}/file"), "people.csv", rows, &[]).await;
    it.press("/campaigns/{id}/file/remove", &format!("{path}/file/remove"), &[]).await;
    it.upload("/campaigns/{id}/file", &format!("{path}/file"), "people.csv", rows, &[]).await;
    let file = it.id("max(id) AS n FROM files");
    let mapping = [("use-0", "channel_id"), ("use-1", "data"), ("use-2", "data"), ("region", "everywhere")];
    it.press("/files/{id}/import", &format!("/files/{file}/import"), &mapping).await;
    bugle::engine::importer::tick(&it.desk.app).await.unwrap();
    it.press("/lists/new/file", "/lists/new/file", &[("name", "All"), ("file", &file.to_string())]).await;
    let renamed = [("name", "Summer"), ("kind", "once_off"), ("time_zone", "Europe/Dublin")];
    it.press("/campaigns/{id}/edit", &format!("{path}/edit"), &renamed).await;
    it.press("/campaigns/{id}/group", &format!("{path}/group"), &[("group_by", "city")]).await;
    it.press("/campaigns/{id}/group", &format!("{path}/group"), &[("group_by", "")]).await;
    let quiet = [("quiet", "own"), ("quiet_from", "22:00"), ("quiet_to", "07:00"), ("blackouts_apply", "on")];
    it.press("/campaigns/{id}/quiet", &format!("{path}/quiet"), &quiet).await;
    let days = [("validity", "7"), ("validity_unit", "days")];
    it.press("/campaigns/{id}/validity", &format!("{path}/validity"), &days).await;
    let channel = it.desk.channel.to_string();
    let plan = [("schedule_name", "Main"), ("channel", &*channel), ("body", "Hi #name"), ("date", "2026-03-02")];
    let plan = [&plan[..], &[("start", "09:00"), ("end", "09:10"), ("rate", "60")]].concat();
    it.press("/campaigns/{id}/schedules", &format!("{path}/schedules"), &plan).await;
    let schedule = it.id("max(id) AS n FROM schedules");
    let mut other = plan.clone();
    other[2].1 = "Good morning, #name";
    let of = format!("{path}/schedules/{schedule}");
    it.press("/campaigns/{id}/schedules/{schedule}", &of, &other).await;
    it.press("/campaigns/{id}/schedules/{schedule}/test", &format!("{of}/test"), &[("number", "+12025550199")]).await;
    it.press("/campaigns/{id}/check", &format!("{path}/check"), &[]).await;
    other[0].1 = "Second";
    it.press("/campaigns/{id}/schedules", &format!("{path}/schedules"), &other).await;
    let second = it.id("max(id) AS n FROM schedules");
    let remove = format!("{path}/schedules/{second}/remove");
    it.press("/campaigns/{id}/schedules/{schedule}/remove", &remove, &[]).await;
    let copy = it.press("/campaigns/{id}/duplicate", &format!("{path}/duplicate"), &[]).await.location.unwrap();
    let copy = copy.strip_suffix("/edit").unwrap().to_owned();
    it.press("/campaigns/{id}/file/remove", &format!("{copy}/file/remove"), &[]).await;
    let list = it.id("max(id) AS n FROM lists").to_string();
    it.press("/campaigns/{id}/lists", &format!("{copy}/lists"), &[("include", &*list), ("freeze", "start")]).await;
    it.press("/campaigns/{id}/discard", &format!("{copy}/discard"), &[]).await;

    // The lines say what it was and what it is.
    let lines: Vec<String> = it.desk.lines(
        "SELECT concat_ws(' | ', happened, was, became, why) AS line FROM journal
         WHERE happened IN ('campaign.file_changed', 'campaign.edited', 'campaign.grouping_changed',
                            'campaign.quiet_changed', 'campaign.lists_changed', 'schedule.edited') ORDER BY id",
    );
    let told = lines.join("\n");
    for line in [
        "campaign.file_changed | none | people.csv",
        "campaign.file_changed | people.csv | none",
        "campaign.edited | draft | draft | name Offer → Summer, time zone UTC → Europe/Dublin",
        "campaign.grouping_changed | none | city",
        "campaign.grouping_changed | city | none",
        "campaign.quiet_changed | quiet hours as in Settings, blackout dates kept | quiet hours 22:00",
        "schedule.edited | draft | draft | text “Hi #name” → “Good morning, #name”",
        "campaign.lists_changed | none | All, as of start",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    let before = it.n();
    other[0].1 = "Main";
    it.desk.fill_in(&of, &other).await;
    it.desk.fill_in(&format!("{path}/edit"), &renamed).await;
    assert_eq!(it.n(), before, "saved as it was, nothing has happened");

    let above = [("approval", "every"), ("approval_above", "")];
    it.press("/settings/approval", "/settings/approval", &above).await;
    let new = NewUser {
        email: "second@example.org".into(),
        name: "Second".into(),
        role: Role::Manager,
        password: "a long password of theirs".into(),
    };
    let now = it.desk.app.clock.now();
    it.desk.db(|conn| add_user(conn, &new, Actor::Shell, now).unwrap());
    let cookie = it.desk.sign_in("second@example.org", "a long password of theirs").await;
    let page =
        it.desk.send(actix_web::test::TestRequest::get().uri(&format!("{path}/edit")).cookie(cookie.clone())).await;
    let seen = page.html.split(r#"name="fingerprint" value=""#).nth(1).expect("a form to approve with");
    let fields = [("fingerprint", seen.split('"').next().unwrap()), ("note", "")];
    let before = it.n();
    let request = actix_web::test::TestRequest::post()
        .uri(&format!("{path}/approve"))
        .insert_header(("Sec-Fetch-Site", "same-origin"))
        .set_form(fields)
        .cookie(cookie);
    let answer = it.desk.send(request).await;
    it.noted("/campaigns/{id}/approve", before, answer);
    it.press("/campaigns/{id}/launch", &format!("{path}/launch"), &[]).await;
    it.pressed
}

async fn of_running_ones() -> BTreeSet<&'static str> {
    let mut it = Auditor::at("2026-03-02 08:00").await;
    let (campaign, schedule, _) = it.desk.campaign("Offer", 100, "09:00-10:00", 60.0).await;
    it.desk.run_until("2026-03-02 09:01").await;
    let of = |what: &str| format!("/schedules/{schedule}/{what}");
    it.press("/schedules/{id}/pause", &of("pause"), &[]).await;
    it.press("/schedules/{id}/resume", &of("resume"), &[]).await;
    it.press("/schedules/{id}/edit", &of("edit"), &[("rate", "90"), ("end", "10:30")]).await;
    it.press("/schedules/{id}/pause", &of("pause"), &[]).await;
    it.press("/schedules/{id}/extend", &of("extend"), &[("end", "2026-03-02T11:00")]).await;
    let of_all = |what: &str| format!("/campaigns/{campaign}/{what}");
    it.press("/campaigns/{id}/pause", &of_all("pause"), &[]).await;
    it.press("/campaigns/{id}/resume", &of_all("resume"), &[]).await;
    it.press("/campaigns/pause-all", "/campaigns/pause-all", &[]).await;
    it.press("/campaigns/resume-all", "/campaigns/resume-all", &[("pause", "1")]).await;
    it.press("/campaigns/pause-all", "/campaigns/pause-all", &[]).await;
    let path = format!("/runs/{}/ledger.csv", it.id("max(id) AS n FROM schedule_runs"));
    let before = it.n();
    assert_eq!(it.desk.visit(&path).await.status, 200);
    assert_eq!(it.n(), before + 1, "the ledger was taken away");
    it.press("/schedules/{id}/stop", &of("stop"), &[]).await;
    it.press("/campaigns/{id}/archive", &of_all("archive"), &[]).await;
    let (second, _, rest) = it.desk.campaign("Second", 10, "09:30-10:00", 60.0).await;
    it.press("/campaigns/{id}/stop", &format!("/campaigns/{second}/stop"), &[]).await;
    it.press("/runs/{id}/rest", &format!("/runs/{rest}/rest"), &[("whom", "unsent")]).await;
    it.press("/campaigns/{id}/rest", &format!("/campaigns/{second}/rest"), &[("whom", "unsent")]).await;
    it.desk.campaign("Third", 10, "09:30-10:00", 60.0).await;
    it.press("/stop", "/stop", &[("word", "STOP")]).await;
    let channel = it.desk.channel.to_string();
    let fields = crate::quick::form(&channel, &[]);
    it.upload("/campaigns/quick", "/campaigns/quick", "", "", &fields).await;
    it.upload("/campaigns/quick/file", "/campaigns/quick/file", "people.csv", "phone\n+12025550123\n", &fields).await;
    it.pressed
}

async fn of_daily_files() -> BTreeSet<&'static str> {
    let mut it = Auditor::at("2026-11-24 07:00").await;
    let main = [("Main", "09:00-09:10", 10.0, None)];
    let (campaign, _) = it.desk.daily("Arrears", "arrears-{date}.csv", &main).await;
    let plan = [
        ("opens", "08:00"),
        ("closes", "11:30"),
        ("tue", "on"),
        ("wed", "on"),
        ("expected_name", "arrears-{date}.csv"),
    ];
    it.press("/campaigns/{id}/daily", &format!("/campaigns/{campaign}/daily"), &plan).await;
    let two_ways = format!("/campaigns/{campaign}/daily/two-ways");
    it.press("/campaigns/{id}/daily/two-ways", &two_ways, &[("two_ways", "with_code")]).await;
    let rows = |from: usize| format!("phone,name,balance\n+120255502{from:02},Anna,1\n");
    let drops = format!("/campaigns/{campaign}/drops");
    let id = |it: &Auditor| it.id("max(id) AS n FROM drops");
    // Too early and with another name: refused, which is noted too, and let in by somebody.
    let before = it.n();
    let answer = it.desk.upload_with_htmx(&drops, "early.csv", rows(0).as_bytes()).await;
    assert_eq!(answer.status, 409);
    assert!(it.n() > before, "that it was refused");
    let early = id(&it);
    let before = it.n();
    let answer = it.desk.press(&format!("/drops/{early}/let-in")).await;
    assert_eq!(answer.status, 409, "the name");
    assert!(it.n() > before);
    it.pressed.insert("/drops/{id}/let-in");
    it.press("/drops/{id}/accept-name", &format!("/drops/{early}/accept-name"), &[]).await;
    bugle::engine::importer::tick(&it.desk.app).await.unwrap();
    it.desk.tick().await;
    it.desk.at("2026-11-24 08:30");
    for (n, (route, what)) in
        [("/drops/{id}/add", "add"), ("/drops/{id}/leave", "leave"), ("/drops/{id}/replace", "replace")]
            .into_iter()
            .enumerate()
    {
        it.upload("/campaigns/{id}/drops", &drops, "arrears-2026-11-24.csv", &rows(n + 1), &[]).await;
        let asked = id(&it);
        it.press(route, &format!("/drops/{asked}/{what}"), &[]).await;
        if what == "leave" {
            it.press("/drops/{id}/dismiss", &format!("/drops/{asked}/dismiss"), &[]).await;
        }
        bugle::engine::importer::tick(&it.desk.app).await.unwrap();
        it.desk.tick().await;
    }
    it.desk.comes_back_at("2026-11-25 10:00").await;
    let answer = it.desk.upload_with_htmx(&drops, "arrears-2026-11-25.csv", rows(9).as_bytes()).await;
    assert_eq!(answer.status, 409);
    let late = id(&it);
    it.press("/drops/{id}/end", &format!("/drops/{late}/end"), &[("end", "10:30")]).await;
    it.pressed
}

async fn of_conversations() -> BTreeSet<&'static str> {
    let mut it = Auditor::at("2026-03-02 09:00").await;
    let bot = it.desk.published("Survey", SURVEY);
    let to = crate::desk::phones(2);
    let channel = it.desk.channel.to_string();
    let inbound = crate::inbound::form("Front desk", &[&channel], "");
    let bot = bot.to_string();
    let inbound: Vec<_> =
        inbound.into_iter().map(|(k, v)| if k == "bot" { (k, bot.as_str()) } else { (k, v) }).collect();
    it.press("/campaigns/inbound/new", "/campaigns/inbound/new", &inbound).await;
    let campaign = it.id("max(id) AS n FROM campaigns");
    let later: Vec<_> = inbound.iter().map(|(k, v)| if *k == "name" { (*k, "Reception") } else { (*k, *v) }).collect();
    it.press("/campaigns/{id}/inbound", &format!("/campaigns/{campaign}/inbound"), &later).await;
    it.desk.hears(&to[0], "Hello?").await;
    it.desk.tick().await;
    let thread = format!("/inbox/{}", it.id("max(id) AS n FROM conversations"));
    let of = |what: &str| format!("{thread}/{what}");
    it.press("/inbox/{id:\\\\d+}/take-over", &of("take-over"), &[]).await;
    let me = it.desk.admin.to_string();
    it.press("/inbox/{id:\\\\d+}/assign", &of("assign"), &[("to", "")]).await;
    it.press("/inbox/{id:\\\\d+}/assign", &of("assign"), &[("to", &*me)]).await;
    it.press("/inbox/{id:\\\\d+}/labels", &of("labels"), &[("label", "VIP")]).await;
    it.press("/inbox/{id:\\\\d+}/labels/remove", &of("labels/remove"), &[("label", "VIP")]).await;
    it.press("/inbox/{id:\\\\d+}/reply", &of("reply"), &[("body", "Good morning")]).await;
    let (message, because) = (it.desk.number("SELECT max(id) AS n FROM messages WHERE author = 'contact'"), "HTTP 404");
    it.desk.sql(&format!(
        "INSERT INTO message_media (message_id, channel_id, heard, state, why)
         SELECT id, channel_id, '{{}}', 'refused', '{because}' FROM messages WHERE id = {message}"
    ));
    let again = format!(
        "/inbox/{}/media/{message}",
        it.desk.number(&format!("SELECT conversation_id AS n FROM messages WHERE id = {message}"))
    );
    it.press("/inbox/{id:\\\\d+}/media/{message}", &again, &[]).await;
    let before = it.n();
    assert_eq!(it.desk.upload("/media", "a.txt", b"hello", &[]).await.status, 201);
    assert!(before < it.n());
    it.pressed.insert("/media");
    it.press("/inbox/{id:\\\\d+}/close", &of("close"), &[]).await;
    it.press("/inbox/{id:\\\\d+}/reopen", &of("reopen"), &[]).await;
    for name in ["transcript.csv", "transcript.txt"] {
        let before = it.n();
        assert_eq!(it.desk.visit(&of(name)).await.status, 200);
        assert_eq!(it.n(), before + 1, "{name}");
    }
    for (route, what, phone) in
        [("/inbox/{id:\\\\d+}/kept", "kept", &to[0]), ("/inbox/{id:\\\\d+}/opted-out", "opted-out", &to[1])]
    {
        it.desk.hears(phone, "please stop texting me").await;
        it.desk.tick().await;
        let doubted = it.id("max(id) AS n FROM conversations WHERE doubted");
        it.press(route, &format!("/inbox/{doubted}/{what}"), &[]).await;
    }
    let thanks = it.desk.published("Thanks", THANKS);
    it.desk.inbound("Thanks", thanks, &Default::default());
    for n in 0..6 {
        it.desk.hears("12025550188", &format!("I am away until Monday. Ref {n}")).await;
    }
    let silent = it.id("max(id) AS n FROM conversations WHERE fault LIKE 'It fell silent%'");
    it.press("/inbox/{id:\\\\d+}/bots-answer", &format!("/inbox/{silent}/bots-answer"), &[]).await;
    it.press("/inbox/{id:\\\\d+}/block", &of("block"), &[("why", "Abuse")]).await;
    it.pressed
}
