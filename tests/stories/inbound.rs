//! Campaigns that send bots or meet who writes first, as people make, see and stop them.

use bugle::bots::steps::Steps;
use bugle::engine::{importer, rescuer};
use bugle::ids::{BotId, CampaignId, ChannelId, ScheduleId};

use crate::desk::{Desk, phones};
use crate::talking::SURVEY;

/// Asks three things, and thanks.
const WELCOME: &str = r##"[
  {"id": "s1", "name": "Question", "do": "ask", "text": "Hello, what is it about?", "store": "about"},
  {"id": "s2", "name": "More", "do": "ask", "text": "Tell me more.", "store": "more"},
  {"id": "s3", "name": "Name", "do": "ask", "text": "Your name?", "store": "caller"},
  {"id": "s4", "name": "Thanks", "do": "close", "text": "Thank you."}]"##;

impl Desk {
    /// Another version of a bot.
    fn publishes_again(&self, bot: BotId, n: i32, steps: &str) {
        let (steps, now): (Steps, _) = (serde_json::from_str(steps).unwrap(), self.app.clock.now());
        self.db(|conn| bugle::bots::store::insert_version(conn, bot, n, &steps, "", self.admin, now).unwrap());
    }

    fn another_channel(&self, name: &str) -> ChannelId {
        let channel = self.number(&format!(
            "INSERT INTO channels (kind, provider, name, sender, secret, settings, created_at)
             SELECT kind, provider, '{name}', '4321', secret, settings, created_at FROM channels WHERE id = {} RETURNING id AS n",
            self.channel
        ));
        ChannelId(channel)
    }

    fn conversations(&self, of: &str) -> i64 {
        self.number(&format!("SELECT count(*) AS n FROM conversations WHERE {of}"))
    }
}

/// The form of an inbound campaign, filled in for whoever writes at any time.
pub fn form<'a>(name: &'a str, channels: &[&'a str], bot: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut form = vec![("name", name), ("time_zone", "UTC"), ("bot", bot), ("when", "always")];
    form.extend(channels.iter().map(|channel| ("channel", *channel)));
    form.extend(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].map(|day| ("day", day)));
    form.extend([("validity", "24"), ("validity_unit", "hours"), ("out_of_hours", ""), ("fallback", "")]);
    form
}

/// Starts it and returns it with its first schedule.
async fn started(desk: &Desk, name: &str, bot: BotId) -> (CampaignId, ScheduleId) {
    let (channel, bot) = (desk.channel.to_string(), bot.to_string());
    let answer = desk.fill_in("/campaigns/inbound/new", &form(name, &[&channel], &bot)).await;
    assert_eq!(answer.status, 303, "{}", answer.html);
    let id = desk.number("SELECT max(id) AS n FROM campaigns");
    (CampaignId(id), ScheduleId(desk.number(&format!("SELECT min(id) AS n FROM schedules WHERE campaign_id = {id}"))))
}

/// What has to be posted to agree to what the page asks.
fn agreement(html: &str) -> String {
    let (_, rest) = html.split_once(r#"name="seen" value=""#).expect("it asks");
    rest.split_once('"').unwrap().0.to_owned()
}

// ---- schedules that send bots ----------------------------------------------------

/// A draft with one imported contact.
async fn draft(desk: &Desk, name: &str) -> String {
    let answer = desk.fill_in("/campaigns", &[("name", name), ("time_zone", "UTC")]).await;
    let path = answer.location.unwrap().strip_suffix("/edit").unwrap().to_owned();
    desk.upload(&format!("{path}/file"), "people.csv", b"phone,name\n+12025550101,Anna\n", &[]).await;
    let file = desk.number("SELECT max(id) AS n FROM files");
    let mapping = [("use-0", "channel_id"), ("use-1", "data"), ("region", "everywhere")];
    desk.fill_in(&format!("/files/{file}/import"), &mapping).await;
    importer::tick(&desk.app).await.unwrap();
    path
}

fn schedule<'a>(
    channel: &'a str,
    sends: &'a str,
    bot: &'a str,
    version: &'a str,
    body: &'a str,
) -> [(&'a str, &'a str); 9] {
    [
        ("schedule_name", "Main"),
        ("channel", channel),
        ("sends", sends),
        ("bot", bot),
        ("version", version),
        ("body", body),
        ("date", "2026-03-02"),
        ("start", "09:00"),
        ("end", "18:00"),
    ]
}

#[actix_web::test]
async fn a_schedule_sends_the_version_of_a_bot_that_was_chosen() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let channel = desk.channel.to_string();
    let path = draft(&desk, "Offer").await;
    desk.visit(&format!("{path}/edit")).await.shows("No bot is published yet.");
    let page = desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, "bot", "", "", "Typed before")).await;
    assert_eq!(page.status, 422);
    page.shows("No bot is published yet. Publish one first.");
    page.shows("Typed before</textarea>");

    let bot = desk.published("Survey", SURVEY);
    let unpublished = desk.db(|conn| {
        bugle::bots::actions::create(conn, "Unready", &Steps::default(), desk.admin, desk.app.clock.now()).unwrap()
    });
    desk.publishes_again(bot, 2, WELCOME);
    let (b, mut fields) = (bot.to_string(), vec![("rate", "60")]);
    let page = desk.visit(&format!("{path}/edit")).await;
    page.shows(&format!(r#"<option value="{bot}">Survey</option>"#));
    page.lacks(&format!(r#"<option value="{unpublished}">"#));
    let versions = desk.peek(&format!("/campaigns/versions?bot={bot}")).await;
    versions.shows(&format!(r#"<option value="{bot}:2" selected>2, the newest</option>"#));
    versions.shows(&format!(r#"<option value="{bot}:1">1</option>"#));

    let old = format!("{bot}:1");
    fields.extend(schedule(&channel, "bot", &b, &old, "Typed before"));
    let saved = desk.fill_in(&format!("{path}/schedules"), &fields).await;
    assert_eq!(saved.status, 303, "{}", saved.html);
    let id = desk.number("SELECT id AS n FROM schedules");
    let page = desk.visit(&format!("{path}/edit?schedule={id}")).await;
    page.shows(&format!(r#"<option value="{bot}:1" selected>1</option>"#));
    page.shows("Version 2 was published since.");
    page.shows(&format!(r#"<a href="/bots/{bot}">Survey v1</a>"#));
    page.shows("Hello Anna.");

    desk.sql(&format!("UPDATE bots SET archived_at = '2026-03-02 08:00Z' WHERE id = {bot}"));
    let page = desk.visit(&format!("{path}/edit")).await;
    page.shows("“Main” sends the bot “Survey”, which is archived. Restore it, or choose another.");
    desk.submit(&format!("{path}/launch")).await.shows("It was not launched.");
    desk.sql(&format!("UPDATE bots SET archived_at = NULL WHERE id = {bot}"));
    assert_eq!(desk.submit(&format!("{path}/launch")).await.status, 303);
    desk.at("2026-03-02 09:00");
    desk.tick().await;
    desk.later(1);
    desk.tick().await;
    assert_eq!(desk.phone("12025550101"), ["Hello Anna.", "From 1 to 5?"]);

    let open = desk.visit(&format!("/campaigns?open={}", path.rsplit('/').next().unwrap())).await;
    open.shows(&format!(r#"bot <a href="/bots/{bot}">Survey v1</a>"#));
    desk.visit("/campaigns?q=surv").await.shows("Offer");
    desk.visit("/bots").await.shows("Offer</a>");
    desk.visit(&format!("/bots/{bot}")).await.shows("(version 1)");

    desk.submit(&format!("{path}/duplicate")).await;
    let kept = format!("bot_id = {bot} AND bot_version = 1 AND body = ''");
    assert_eq!(desk.number(&format!("SELECT count(*) AS n FROM schedules WHERE {kept}")), 2, "a copy keeps it");
}

#[actix_web::test]
async fn a_test_of_a_bot_sends_its_first_message_and_begins_nothing() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let bot = desk.published("Survey", SURVEY).to_string();
    let (channel, path) = (desk.channel.to_string(), draft(&desk, "Offer").await);
    let mut fields = vec![("rate", "60")];
    fields.extend(schedule(&channel, "bot", &bot, "", ""));
    assert_eq!(desk.fill_in(&format!("{path}/schedules"), &fields).await.status, 303);
    let id = desk.number("SELECT id AS n FROM schedules");
    let sent = desk.fill_in(&format!("{path}/schedules/{id}/test"), &[("number", "+12025550199")]).await;
    assert_eq!(sent.status, 303, "{}", sent.html);
    for _ in 0..3 {
        desk.later(1);
        desk.tick().await;
    }
    assert_eq!(desk.phone("12025550199"), ["Hello Anna."]);
    assert_eq!((desk.conversations("true"), desk.number("SELECT count(*) AS n FROM openings")), (0, 0));
}

// ---- inbound campaigns -------------------------------------------------------------

#[actix_web::test]
async fn an_inbound_campaign_is_started_and_meets_who_writes_first() {
    let desk = Desk::open_at("2026-03-02 10:00").await;
    let bot = desk.published("Welcome", WELCOME);
    desk.visit("/campaigns").await.shows(r#"href="/campaigns/inbound/new""#);
    desk.visit("/campaigns/new").await.shows(r#"<a href="/campaigns/inbound/new">inbound campaign</a>"#);
    let guided = desk.fill_in("/campaigns", &[("name", "X"), ("time_zone", "UTC"), ("kind", "inbound")]).await;
    assert_eq!(guided.status, 422, "it has a form of its own");
    desk.visit("/channels").await.shows("nobody; the inbox");

    let page = desk
        .fill_in(
            "/campaigns/inbound/new",
            &[
                ("name", ""),
                ("when", "hours"),
                ("from", "9"),
                ("to", ""),
                ("validity", "91"),
                ("validity_unit", "days"),
                ("out_of_hours", "Later!"),
            ],
        )
        .await;
    assert_eq!(page.status, 422);
    for error in [
        "Give the campaign a name.",
        "Choose at least one channel.",
        "Choose a bot.",
        "A time, such as 09:00.",
        "A time, such as 17:00.",
        "Choose a time zone",
        "from 1 hour to 90 days.",
    ] {
        page.shows(error);
    }
    page.shows("Later!</textarea>");

    let (campaign, schedule) = started(&desk, "Front desk", bot).await;
    assert_eq!(desk.campaign_state(campaign), "active");
    let open = desk.visit(&format!("/campaigns?open={campaign}&show=inbound")).await;
    open.shows("whenever somebody writes, at any time");
    open.shows("current on ");
    open.shows("0 open conversations");
    open.shows(&format!(r#"bot <a href="/bots/{bot}">Welcome v1</a>"#));
    desk.visit("/campaigns?show=live").await.shows("Front desk");
    desk.visit("/channels").await.shows(&format!(r#"<a href="/campaigns?open={campaign}">Front desk</a>"#));
    desk.visit("/calendar").await.lacks("Something went wrong");
    assert_eq!(desk.visit(&format!("/schedules/{schedule}")).await.status, 303);

    desk.hears("12025550107", "hi").await;
    assert_eq!(desk.phone("12025550107"), ["Hello, what is it about?"]);
    desk.visit("/campaigns").await.shows("1 open conversation");
    assert_eq!(
        desk.visit(&format!("/campaigns/{campaign}/edit")).await.location,
        Some(format!("/campaigns/{campaign}/inbound"))
    );
}

#[actix_web::test]
async fn taking_over_a_channel_is_asked_first() {
    let desk = Desk::open_at("2026-03-02 10:00").await;
    let bot = desk.published("Welcome", WELCOME);
    let (first, _) = started(&desk, "Front desk", bot).await;
    let (channel, b) = (desk.channel.to_string(), bot.to_string());
    let mut fields = form("Night shift", &[&channel], &b);
    let asked = desk.fill_in("/campaigns/inbound/new", &fields).await;
    assert_eq!((asked.status, desk.number("SELECT count(*) AS n FROM campaigns")), (422, 1));
    asked.shows("“Front desk” is current on ");
    asked.shows("from now on this one meets who writes first there");
    asked.shows(r#"value="Night shift""#);
    let seen = agreement(&asked.html);
    fields.extend([("agreed", "on"), ("seen", "something else")]);
    assert_eq!(desk.fill_in("/campaigns/inbound/new", &fields).await.status, 422, "agreed to something else");
    fields.pop();
    fields.push(("seen", &seen));
    assert_eq!(desk.fill_in("/campaigns/inbound/new", &fields).await.status, 303);
    let second = CampaignId(desk.number("SELECT max(id) AS n FROM campaigns"));
    let screen = desk.visit("/campaigns").await;
    screen.shows("current on ");
    screen.shows(" is met by Night shift now");

    desk.hears("12025550107", "hi").await;
    assert_eq!(desk.conversations(&format!("campaign_id = {second}")), 1);
    desk.submit(&format!("/campaigns/{second}/pause")).await;
    desk.hears("12025550108", "hi").await;
    assert_eq!(desk.conversations(&format!("campaign_id = {first}")), 1, "the older one meets people again");
    let plan = desk.peek(&format!("/campaigns/{second}/resume")).await;
    plan.shows("Resumed, it meets who writes first again. “Front desk” is current on ");
}

#[actix_web::test]
async fn an_inbound_campaign_is_paused_resumed_and_stopped() {
    let desk = Desk::open_at("2026-03-02 10:00").await;
    let bot = desk.published("Welcome", WELCOME);
    let (campaign, schedule) = started(&desk, "Front desk", bot).await;
    desk.hears("12025550107", "hi").await;

    let paused = desk.press(&format!("/schedules/{schedule}/pause")).await;
    paused.shows("It meets nobody who writes first");
    desk.hears("12025550108", "hi").await;
    desk.hears("12025550107", "parcels").await;
    assert_eq!((desk.phone("12025550108").len(), desk.phone("12025550107").len()), (0, 2), "what has begun goes on");
    desk.visit("/campaigns?show=paused").await.shows("Front desk");
    desk.peek(&format!("/schedules/{schedule}/resume")).await.shows("Resumed, it meets who writes first again.");
    desk.press(&format!("/schedules/{schedule}/resume")).await.shows("Live");
    assert_eq!(desk.state("schedules", schedule.0), "active");

    desk.press(&format!("/campaigns/{campaign}/pause")).await.shows("Paused");
    desk.hears("12025550109", "hi").await;
    assert_eq!(desk.phone("12025550109").len(), 0);
    desk.press(&format!("/campaigns/{campaign}/resume")).await;
    desk.hears("12025550110", "hi").await;
    assert_eq!(desk.phone("12025550110").len(), 1);

    desk.peek(&format!("/schedules/{schedule}/stop")).await.shows("Conversations in which the bot falls silent");
    desk.press(&format!("/schedules/{schedule}/stop")).await.shows("Stopped. Nothing more will leave.");
    assert_eq!(desk.campaign_state(campaign), "stopped", "with its last schedule");
    desk.hears("12025550107", "still there?").await;
    assert_eq!(desk.phone("12025550107").len(), 2, "silent; the inbox has it");

    let copy = desk.submit(&format!("/campaigns/{campaign}/duplicate")).await.location.unwrap();
    let copy = copy.strip_suffix("/edit").unwrap().to_owned();
    let page = desk.visit(&format!("{copy}/inbound")).await;
    page.shows(r#"value="Front desk copy""#);
    page.shows(r#"<option value="1:1" selected>"#);
    let (channel, b) = (desk.channel.to_string(), bot.to_string());
    assert_eq!(desk.fill_in(&format!("{copy}/inbound"), &form("Front desk 2", &[&channel], &b)).await.status, 303);
    desk.hears("12025550111", "hi").await;
    assert_eq!(desk.phone("12025550111").len(), 1);
}

#[actix_web::test]
async fn a_live_inbound_campaign_is_changed_at_once() {
    let desk = Desk::open_at("2026-03-02 10:00").await;
    let bot = desk.published("Welcome", WELCOME);
    desk.publishes_again(bot, 2, &WELCOME.replace("Hello, what", "Good day, what"));
    let second = desk.another_channel("Second line");
    let (channel, b, second) = (desk.channel.to_string(), bot.to_string(), second.to_string());
    let mut fields = form("Front desk", &[&channel], &b);
    let old = format!("{bot}:1");
    fields.push(("version", &old));
    desk.fill_in("/campaigns/inbound/new", &fields).await;
    let campaign = desk.number("SELECT id AS n FROM campaigns");
    let path = format!("/campaigns/{campaign}/inbound");
    desk.hears("12025550107", "hi").await;
    desk.visit(&path).await.shows("Version 2 was published since.");

    let new = format!("{bot}:2");
    let mut fields = form("Front desk", &[&channel, &second], &b);
    fields.push(("version", &new));
    assert_eq!(desk.fill_in(&path, &fields).await.status, 303);
    desk.hears("12025550108", "hi").await;
    assert_eq!(desk.phone("12025550107"), ["Hello, what is it about?"]);
    assert_eq!(desk.phone("12025550108"), ["Good day, what is it about?"], "new conversations meet the new version");
    let going = "SELECT count(*) AS n FROM schedules WHERE state = 'active' AND inbound";
    assert_eq!(desk.number(going), 2);
    desk.visit("/channels").await.shows("Second line");

    // Outside its hours they are told so.
    let mut fields = form("Front desk", &[&channel, &second], &b);
    fields.retain(|(field, _)| !["when", "out_of_hours"].contains(field));
    fields.extend([
        ("version", new.as_str()),
        ("when", "hours"),
        ("from", "11:00"),
        ("to", "17:00"),
        ("out_of_hours", "We open at 11."),
    ]);
    assert_eq!(desk.fill_in(&path, &fields).await.status, 303);
    desk.hears("12025550109", "hi").await;
    assert_eq!(desk.phone("12025550109"), ["We open at 11."]);
    desk.visit("/campaigns").await.shows("1 waiting for a human");

    // A channel that is left is left for good, and said so first.
    let mut fields = form("Front desk", &[&second], &b);
    let asked = desk.fill_in(&path, &fields).await;
    assert_eq!(asked.status, 422);
    asked.shows("for good. The bot falls silent in 2 open conversations there");
    let seen = agreement(&asked.html);
    fields.extend([("agreed", "on"), ("seen", seen.as_str())]);
    assert_eq!(desk.fill_in(&path, &fields).await.status, 303);
    assert_eq!(desk.number(going), 1);
    assert_eq!(
        desk.fill_in(&path, &form("Front desk", &[&channel, &second], &b)).await.status,
        303,
        "and taken up again"
    );
    assert_eq!(desk.number(going), 2);
    let history = desk.visit(&format!("/campaigns?open={campaign}")).await;
    history.shows("hours at any time → every day, 11:00–17:00");
}

// ---- validity ----------------------------------------------------------------------

#[actix_web::test]
async fn a_change_of_the_validity_holds_for_open_conversations_at_once() {
    let desk = Desk::open_at("2026-03-02 10:00").await;
    let bot = desk.published("Welcome", WELCOME);
    let (campaign, _) = started(&desk, "Front desk", bot).await;
    desk.hears("12025550107", "hi").await;
    desk.hears("12025550108", "hi").await;
    let path = format!("/campaigns/{campaign}/validity");
    let open = desk.visit(&format!("/campaigns?open={campaign}")).await;
    open.shows("Conversations can be continued for");

    desk.later(2 * 3600);
    let shorter = desk
        .fill_in_with_htmx(&format!("{path}?open={campaign}"), &[("validity", "1"), ("validity_unit", "hours")])
        .await;
    shorter.shows("Conversations can be continued for 1 hour, from now on.");
    desk.hears("12025550107", "again").await;
    assert_eq!(
        desk.phone("12025550107").last().unwrap(),
        "Hello, what is it about?",
        "it was over: from the beginning"
    );
    desk.fill_in(&path, &[("validity", "3"), ("validity_unit", "days")]).await;
    desk.hears("12025550108", "parcels").await;
    assert_eq!(desk.phone("12025550108").last().unwrap(), "Tell me more.", "it goes on after all");
    let wrong = desk.fill_in_with_htmx(&path, &[("validity", "30"), ("validity_unit", "minutes")]).await;
    assert_eq!(wrong.status, 422);
    wrong.shows("from 1 hour to 90 days");
}

#[actix_web::test]
async fn a_draft_that_sends_a_bot_says_how_long_it_can_be_answered() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let bot = desk.published("Survey", SURVEY).to_string();
    let (channel, path) = (desk.channel.to_string(), draft(&desk, "Offer").await);
    desk.visit(&format!("{path}/edit")).await.lacks("can be continued for");
    let mut fields = vec![("rate", "60")];
    fields.extend(schedule(&channel, "bot", &bot, "", ""));
    desk.fill_in(&format!("{path}/schedules"), &fields).await;
    desk.visit(&format!("{path}/edit")).await.shows("can be continued for 24 hours");
    let wrong = desk.fill_in(&format!("{path}/validity"), &[("validity", "0"), ("validity_unit", "days")]).await;
    assert_eq!(wrong.status, 422);
    wrong.shows("A whole number: from 1 hour to 90 days.");
    desk.fill_in(&format!("{path}/validity"), &[("validity", "7"), ("validity_unit", "days")]).await;
    desk.visit(&format!("{path}/edit")).await.shows("can be continued for 7 days");
}

// ---- STOP of what has finished -------------------------------------------------------

#[actix_web::test]
async fn a_campaign_is_not_over_while_its_bot_will_speak_up() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    let to = phones(1);
    let (campaign, ..) = desk.bot_campaign("Spring", bot, &to).await;
    for _ in 0..3 {
        desk.tick().await;
        desk.later(1);
    }
    assert_eq!(desk.phone(&to[0]).len(), 2);
    rescuer::sweep(&desk.app).await.unwrap();
    assert_eq!(desk.campaign_state(campaign), "active", "the reminder is still to come");
    assert_eq!(desk.submit(&format!("/campaigns/{campaign}/pause")).await.status, 303);
    desk.later(2 * 3600);
    desk.tick().await;
    assert_eq!(desk.phone(&to[0]).len(), 2, "a pause holds it");
    desk.submit(&format!("/campaigns/{campaign}/resume")).await;
    desk.tick().await;
    assert_eq!(desk.phone(&to[0]).last().unwrap(), "Still there?");
    desk.tick().await;
    assert_eq!(desk.campaign_state(campaign), "finished");

    // Its bot still talks, so there is something to stop.
    let row = desk.visit("/campaigns").await;
    row.shows(&format!(r#"id="campaign-{campaign}-stop""#));
    row.shows("1 open conversation");
    desk.peek(&format!("/campaigns/{campaign}/stop")).await.shows("Conversations in which the bot falls silent");
    desk.press(&format!("/campaigns/{campaign}/stop")).await.shows("Stopped. Nothing more will leave.");
    assert_eq!(desk.campaign_state(campaign), "stopped");
    desk.hears(&to[0], "yes").await;
    assert_eq!(desk.phone(&to[0]).len(), 3, "silent");
    assert_eq!(desk.conversations("unanswered_since IS NOT NULL"), 1);
}

#[actix_web::test]
async fn stop_of_everything_reaches_bots_of_finished_campaigns() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let to = phones(2);
    let talking = desk.published("Welcome", WELCOME);
    let (campaign, ..) = desk.bot_campaign("Spring", talking, &to).await;
    let (quiet, ..) = desk.campaign("Plain", 1, "09:00-10:00", 600.0).await;
    for _ in 0..4 {
        desk.tick().await;
        desk.later(1);
    }
    assert_eq!((desk.campaign_state(campaign), desk.campaign_state(quiet)), ("finished".into(), "finished".into()));
    let dialog = desk.peek("/stop").await;
    dialog.shows(r#"<dt>Conversations with bots</dt><dd class="num">2</dd>"#);
    dialog.shows(r#"<dt>Campaigns</dt><dd class="num">1</dd>"#);
    desk.fill_in("/stop", &[("word", "STOP")]).await;
    assert_eq!((desk.campaign_state(campaign), desk.campaign_state(quiet)), ("stopped".into(), "finished".into()));
    desk.hears(&to[0], "parcels").await;
    assert!(!desk.phone(&to[0]).contains(&"Tell me more.".to_owned()), "silent");
}
