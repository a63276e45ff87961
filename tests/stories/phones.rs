//! The sandbox's phones, and the channels that reach them.

use bugle::access::Role;
use bugle::channels::setups;
use bugle::conversations::actions::take_in;
use bugle::db::schema::channels;
use bugle::ids::ChannelId;
use bugle::providers::Inbound;
use bugle::sandbox::carrier;
use diesel::dsl::max;
use diesel::prelude::*;

use super::desk::{Desk, phones};
use super::talking::SURVEY;

impl Desk {
    /// Somebody writes on a phone of the sandbox, and whatever follows happens.
    pub async fn types(&self, number: &str, text: &str) {
        let answer = self.fill_in(&format!("/phones/{number}"), &[("text", text)]).await;
        assert_eq!(answer.location.as_deref(), Some(format!("/phones/{number}#newest").as_str()), "{}", answer.html);
        self.talk().await;
    }
}

#[actix_web::test]
async fn what_arrives_is_on_the_phone_with_the_way_back_to_its_row() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    assert!(desk.visit("/phones").await.html.contains("No message has arrived yet"));
    let (_, _, run) = desk.campaign("Spring", 3, "09:00-10:00", 60.0).await;
    desk.run_until("2026-03-02 09:00:05").await;

    let wall = desk.visit("/phones").await;
    assert!(wall.html.contains("Nothing that reaches them leaves this machine"));
    for phone in desk.received() {
        assert!(wall.html.contains(&format!(r##"href="/phones/{}#newest""##, phone.phone)), "{}", wall.html);
    }
    let found = desk.visit("/phones?q=%2B1%20202%20000-0001").await.html;
    assert!(found.contains(r#"id="phone-12020000001""#) && !found.contains("12020000002"), "{found}");

    let phone = desk.visit("/phones/12020000001").await;
    assert!(phone.html.contains("Hello Name2, you owe 2."), "{}", phone.html);
    assert!(phone.html.contains(&format!(r##"href="/runs/{run}?after=1#delivery-2""##)), "{}", phone.html);
    assert!(phone.html.contains("Spring-2026-03-02"));
    assert_eq!(desk.visit_as_stranger("/phones/12020000001").await.status, 303);
}

#[actix_web::test]
async fn a_page_that_watches_hears_news_and_nothing_else() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    desk.campaign("Spring", 2, "09:00-10:00", 60.0).await;
    desk.run_until("2026-03-02 09:00").await;
    let first = desk.received();
    assert_eq!(first.len(), 1);

    assert_eq!(desk.peek("/phones?since=1").await.status, 204);
    assert_eq!(desk.peek("/phones/12020000000?since=1").await.status, 204);
    desk.run_until("2026-03-02 09:00:02").await;
    let wall = desk.peek("/phones?since=1").await;
    assert_eq!(wall.status, 200);
    assert!(wall.html.contains("since=2") && !wall.html.contains("<html"), "{}", wall.html);
    assert_eq!(desk.peek("/phones/12020000000?since=1").await.status, 204, "it reached another phone");
    let phone = desk.peek("/phones/12020000001?since=0").await;
    assert!(phone.html.contains("Hello Name2") && phone.html.contains("since=2"), "{}", phone.html);
    assert!(!phone.html.contains("Nothing has reached this phone"), "{}", phone.html);
}

#[actix_web::test]
async fn the_wall_goes_back_page_by_page_and_names_each_phone_once() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    desk.sql(
        "INSERT INTO sandbox_messages (channel_id, phone, part, body, at)
         SELECT 1, '1202' || (n % 70), n || '-1-1', 'Message ' || n, now() FROM generate_series(1, 210) n",
    );
    let first = desk.visit("/phones").await.html;
    assert_eq!(first.matches("phone-tile").count(), 60);
    assert!(first.contains("Message 210") && !first.contains("Message 140"), "the newest of each");
    assert!(first.contains("/phones?before=151"));
    let second = desk.visit("/phones?before=151").await.html;
    assert_eq!(second.matches("phone-tile").count(), 10);
    assert!(!second.contains("Next page") && !second.contains("hx-trigger=\"every"), "an older page stands still");
}

#[actix_web::test]
async fn a_channel_is_added_changed_and_written_down() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let fields = |name: &'static str, limit: &'static str| {
        [
            ("name", name),
            ("kind", "whatsapp"),
            ("sender", "Bugle"),
            ("per_minute", limit),
            ("latency_ms", "10"),
            ("latency_to_ms", "20"),
            ("long_tail", "0"),
            ("error_rate", "2.5"),
            ("per_second", "0"),
            ("receipt_ms", "100"),
            ("silence_ms", "100"),
            ("seed", "7"),
        ]
    };
    let wrong = desk.fill_in("/channels", &fields("Offers", "-1")).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains(r#"value="Offers""#) && wrong.html.contains("above 0"), "{}", wrong.html);

    assert_eq!(desk.fill_in("/channels", &fields("Offers", "")).await.location.as_deref(), Some("/channels"));
    let id =
        desk.number("SELECT id AS n FROM channels WHERE name = 'Offers' AND kind = 'whatsapp' AND length(secret) = 32");
    assert_eq!(desk.fill_in("/channels", &fields("Offers", "")).await.status, 422, "the name is taken");
    desk.fill_in(&format!("/channels/{id}"), &fields("Offers", "90")).await;
    assert_eq!(desk.number("SELECT per_minute::bigint AS n FROM channels WHERE name = 'Offers'"), 90);
    let journal =
        "SELECT count(*) AS n FROM journal WHERE happened = 'channel.changed' AND why = 'limit none → 90 a minute'";
    assert_eq!(desk.number(journal), 1);
    desk.fill_in(&format!("/channels/{id}"), &fields("Offers", "90")).await;
    assert_eq!(desk.number(journal), 1, "nothing changed, nothing to write down");
    assert!(desk.visit("/channels").await.html.contains(&format!(r#"href="/channels/{id}""#)));
}

#[actix_web::test]
async fn what_is_typed_on_a_phone_goes_the_whole_way_and_the_bot_answers_there() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    let to = &phones(1)[0];
    desk.bot_campaign("Spring", bot, &phones(1)).await;
    desk.tick().await;
    let path = format!("/phones/{to}");
    let page = desk.visit(&path).await;
    page.shows(r#"<textarea id="text" name="text""#);
    let since = desk.number("SELECT max(id) AS n FROM sandbox_messages");

    desk.types(to, "5").await;
    assert_eq!(desk.phone(to).last().map(String::as_str), Some("Thank you for the 5."));
    let written = desk.number("SELECT id AS n FROM sandbox_messages WHERE part IS NULL AND untold = 0 AND body = '5'");
    let taken = format!("SELECT count(*) AS n FROM messages WHERE provider_id = 'in-{written}' AND author = 'contact'");
    assert_eq!(desk.number(&taken), 1);

    let page = desk.visit(&path).await;
    page.shows(r#"<div class="bubble" data-mine>"#);
    let conversation = desk.number("SELECT id AS n FROM conversations");
    page.shows(&format!(r#"<a href="/inbox/{conversation}">conversation</a>"#));
    let news = desk.peek(&format!("{path}?since={since}")).await;
    news.shows("Thank you for the 5.");
    news.lacks("From 1 to 5?");
    desk.visit("/phones").await.shows("Thank you for the 5.");

    assert_eq!(desk.fill_in(&path, &[("text", " \n")]).await.status, 422);
    let alone = desk.fill_in_with_htmx(&path, &[("text", "")]).await;
    assert_eq!(alone.status, 422);
    alone.shows("Write something first.");
    alone.lacks("<html");
    let alone = desk.fill_in_with_htmx(&path, &[("text", "One\r\ntwo")]).await;
    assert_eq!((alone.status, alone.headers.get("hx-trigger").is_some()), (200, true));
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE body = E'One\\ntwo'"), 1);
    assert_eq!(desk.fill_in(&path, &[("text", &"a".repeat(4001))]).await.status, 422);
}

#[actix_web::test]
async fn a_phone_that_nothing_has_reached_can_write_first_through_a_channel_of_choice() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let wrong = desk.visit("/phones/use?number=12").await;
    assert_eq!(wrong.status, 422);
    wrong.shows(r#"value="12""#);
    let used = desk.visit("/phones/use?number=%2B1%20202%20555%200142").await;
    assert_eq!(used.location.as_deref(), Some("/phones/12025550142"));
    desk.visit("/phones/12025550142").await.shows("Write first, if you like.");
    desk.types("12025550142", "Hello?").await;
    let began = "SELECT count(*) AS n FROM conversations WHERE began = 'inbound' AND channel_id = ";
    assert_eq!(desk.number(&format!("{began}{}", desk.channel)), 1);

    desk.sql(
        "INSERT INTO channels (name, kind, provider, sender, secret, settings, created_at)
         VALUES ('Chats', 'whatsapp', 'sandbox', 'Bugle', 's3cret', '{}', now())",
    );
    let chats = desk.number("SELECT id AS n FROM channels WHERE name = 'Chats'");
    let page = desk.visit("/phones/12025550142").await;
    page.shows(&format!(r#"<option value="{}" selected>"#, desk.channel));
    page.shows("Chats (WhatsApp)");
    desk.fill_in("/phones/12025550142", &[("text", "Here, too"), ("channel", &chats.to_string())]).await;
    assert_eq!(desk.number(&format!("{began}{chats}")), 1);
    desk.visit("/phones/12025550142").await.shows(&format!(r#"<option value="{chats}" selected>"#));
}

#[actix_web::test]
async fn offered_answers_are_tapped_on_a_chat_and_read_on_an_sms() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.sql(
        "INSERT INTO channels (name, kind, provider, sender, secret, settings, created_at)
         VALUES ('Chats', 'whatsapp', 'sandbox', 'Bugle', 's3cret', '{}', now())",
    );
    for (phone, kind) in [("12025550143", "sms"), ("12025550144", "whatsapp")] {
        desk.sql(&format!(
            r#"INSERT INTO sandbox_messages (channel_id, phone, part, body, at, choices)
               SELECT id, '{phone}', '1-1-1', 'May we call?', now(), '["Yes", "No"]' FROM channels WHERE kind = '{kind}'"#
        ));
    }
    let sms = desk.visit("/phones/12025550143").await;
    sms.shows("May we call?\n– Yes\n– No");
    sms.lacks(r#"class="offer""#);
    let chat = desk.visit("/phones/12025550144").await;
    chat.shows(r#"<button class="offer" name="text" value="Yes">Yes</button>"#);
    desk.types("12025550144", "Yes").await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE author = 'contact' AND body = 'Yes'"), 1);

    desk.gives_the_admin_the_role(Role::Viewer);
    let chat = desk.visit("/phones/12025550144").await;
    chat.shows(r#"value="Yes" disabled"#);
    chat.lacks("<textarea");
    assert_eq!(desk.fill_in("/phones/12025550144", &[("text", "No")]).await.status, 403);
    assert_eq!(desk.visit("/phones/use?number=12025550145").await.status, 403);
    desk.visit("/phones").await.lacks("Use a phone");
}

#[actix_web::test]
async fn what_96_writes_is_told_three_times_and_heard_once() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    let to = "12025550196";
    desk.bot_campaign("Spring", bot, &[to.to_owned()]).await;
    desk.tick().await;
    desk.types(to, "4").await;
    let untold = || desk.number("SELECT untold::bigint AS n FROM sandbox_messages WHERE part IS NULL");
    assert_eq!(untold(), 2);
    assert_eq!(carrier::report_written(&desk.app).await.unwrap(), 1);
    assert_eq!(untold(), 1);
    desk.tick().await;
    assert_eq!(untold(), 0);
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE author = 'contact'"), 1);
    assert_eq!(desk.phone(to).iter().filter(|body| *body == "Thank you for the 4.").count(), 1);
}

#[actix_web::test]
async fn what_97_gets_it_answers_with_stop() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    let to = "12025550197";
    let (_, _, run) = desk.bot_campaign("Spring", bot, &[to.to_owned()]).await;
    for _ in 0..4 {
        desk.tick().await;
        desk.later(1);
    }
    assert_eq!(desk.counts(run).delivered, 1);
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts WHERE opted_out_at IS NOT NULL"), 1);
    let confirmed = desk.phone(to).iter().filter(|body| body.starts_with("You will get no more")).count();
    assert_eq!(confirmed, 1, "{:?}", desk.phone(to));
    let again = desk.number("SELECT count(*) AS n FROM sandbox_messages WHERE part IS NULL AND body = 'STOP'");
    assert!(again >= 2, "it also answers the confirmation");
}

#[actix_web::test]
async fn rules_are_added_ordered_tried_and_written_down() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.visit("/phones/rules").await.shows("The phones stay silent");
    let rule = |pattern: &'static str, replies: &'static str, chance: &'static str| {
        [("pattern", pattern), ("replies", replies), ("chance", chance), ("after_s", "10"), ("to_s", "20")]
    };
    let wrong = desk.fill_in("/phones/rules", &rule("(1 to 5", "5", "101")).await;
    assert_eq!(wrong.status, 422);
    wrong.shows("This is not a regular expression: unclosed group.");
    wrong.shows(r#"value="(1 to 5""#);
    wrong.shows("A number from 0 to 100.");

    for (pattern, replies) in [("", "ok"), ("1 to 5", "4\n5")] {
        let added = desk.fill_in("/phones/rules", &rule(pattern, replies, "100")).await;
        assert_eq!(added.location.as_deref(), Some("/phones/rules"));
    }
    let id = |place: i64| desk.number(&format!("SELECT id AS n FROM sandbox_rules WHERE place = {place}"));
    let (first, second) = (id(1), id(2));
    let tried = desk.visit("/phones/rules?text=From+1+to+5%3F").await;
    tried.shows(r#"<th scope="row">ok</th><td class="num">100</td>"#);
    desk.fill_in(&format!("/phones/rules/{second}/press"), &[("press", "up")]).await;
    assert_eq!((id(1), id(2)), (second, first));
    let tried = desk.visit("/phones/rules?text=From+1+to+5%3F").await;
    tried.lacks(r#"<th scope="row">ok</th>"#);
    tried.shows(r#"<th scope="row">4</th>"#);

    desk.fill_in(&format!("/phones/rules/{second}/press"), &[("press", "off")]).await;
    desk.visit("/phones/rules?text=From+1+to+5%3F").await.shows(r#"<th scope="row">ok</th><td class="num">100</td>"#);
    desk.visit(&format!("/phones/rules/{second}")).await.shows(r#"value="1 to 5""#);
    desk.fill_in(&format!("/phones/rules/{second}"), &rule("from", "", "50")).await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM sandbox_rules WHERE pattern = 'from' AND chance = 0.5"), 1);
    desk.fill_in(&format!("/phones/rules/{first}/press"), &[("press", "remove")]).await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM sandbox_rules"), 1);
    desk.fill_in("/phones/rules/all", &[("press", "on")]).await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM sandbox_rules WHERE enabled"), 1);
    let journal =
        |happened: &str| desk.number(&format!("SELECT count(*) AS n FROM journal WHERE happened = '{happened}'"));
    for (verb, n) in [("added", 2), ("moved", 1), ("turned_off", 1), ("changed", 1), ("removed", 1), ("turned_on", 1)] {
        assert_eq!(journal(&format!("phone_rule.{verb}")), n, "{verb}");
    }
    desk.submit("/phones/rules/usual").await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM sandbox_rules"), 1, "only where there are none");

    desk.gives_the_admin_the_role(Role::Viewer);
    assert_eq!(desk.visit("/phones/rules").await.status, 200);
    assert_eq!(desk.fill_in("/phones/rules", &rule("", "no", "1")).await.status, 403);
}

#[actix_web::test]
async fn phones_with_rules_give_a_campaign_conversations_that_end_in_several_ways() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.submit("/phones/rules/usual").await;
    let bot = desk.published("Survey", SURVEY);
    let to = phones(200);
    let (_, _, run) = desk.bot_campaign("Spring", bot, &to).await;
    // Until the answers are in, and those to the reminder after an hour.
    for wait in [2, 10, 20, 30, 60, 60, 120, 3600, 60, 60, 60, 120, 120] {
        desk.tick().await;
        desk.later(wait);
    }
    desk.tick().await;
    assert_eq!(desk.counts(run).delivered, 200);
    let n = |what: &str| desk.number(&format!("SELECT count(*) AS n FROM {what}"));
    let thanked = n("conversations WHERE closed_because = 'ended by the bot'");
    let opted_out = n("conversations WHERE closed_because = 'opted out'");
    let human = n("conversations WHERE unanswered_since IS NOT NULL");
    let silent = n("conversations v WHERE NOT EXISTS
        (SELECT FROM messages m WHERE m.conversation_id = v.id AND m.author = 'contact')");
    let reminded = n("sandbox_messages WHERE body = 'Still there?'");
    assert!(
        thanked > 40 && opted_out > 0 && human > 10 && silent > 2 && reminded > 5,
        "thanked {thanked}, opted out {opted_out}, with humans {human}, silent {silent}, reminded {reminded}"
    );

    let twice = n("(SELECT FROM sandbox_messages WHERE part IS NOT NULL GROUP BY phone, body
        HAVING count(*) > 1 AND body NOT LIKE 'You will%' AND body NOT LIKE 'Reply%') it");
    assert_eq!(twice, 0, "nobody got a message twice");
    assert_eq!(n("(SELECT FROM sandbox_messages WHERE part IS NOT NULL GROUP BY part HAVING count(*) > 1) it"), 0);
    assert_eq!(n("messages WHERE author = 'contact'"), n("sandbox_messages WHERE part IS NULL"), "each heard once");
    assert_eq!(n("sandbox_messages WHERE untold > 0"), 0);
}

#[actix_web::test]
async fn a_phone_answers_when_its_time_has_come_and_no_more_than_thirty_times_an_hour() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let rule = [("pattern", "you owe"), ("replies", "ok"), ("chance", "100"), ("after_s", "30"), ("to_s", "30")];
    desk.fill_in("/phones/rules", &rule).await;
    let it = &phones(1)[0];
    let written = || desk.number("SELECT count(*) AS n FROM sandbox_messages WHERE part IS NULL AND body = 'ok'");
    desk.campaign("Spring", 1, "09:00-10:00", 60.0).await;
    desk.tick().await;
    desk.later(29);
    desk.tick().await;
    assert_eq!((desk.phone(it).len(), written()), (1, 0));
    desk.later(1);
    desk.tick().await;
    assert_eq!(written(), 1);
    let at =
        "SELECT extract(epoch FROM at - '2026-03-02 09:00:00Z')::bigint AS n FROM messages WHERE author = 'contact'";
    assert_eq!(desk.number(at), 30, "it was written when it was due");

    desk.sql(
        "INSERT INTO sandbox_messages (channel_id, phone, body, at)
         SELECT channel_id, phone, 'chatter', at FROM sandbox_messages, generate_series(1, 29) WHERE part IS NULL",
    );
    desk.campaign("Summer", 1, "09:00-10:00", 60.0).await;
    desk.later(2);
    desk.tick().await;
    desk.later(40);
    desk.tick().await;
    assert_eq!((desk.phone(it).len(), written()), (2, 1), "two that answer each other come to an end");
}

#[actix_web::test]
async fn what_somebody_writes_on_a_phone_is_proven_with_their_name_and_takes_back_what_was_said_there() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (here, elsewhere) = ("12025550101", "12025550102");
    for phone in [here, elsewhere] {
        desk.types(phone, "STOP").await;
    }
    let proofs = || {
        desk.lines(
            "SELECT c.address || ' ' || x.change || ' ' || coalesce(u.name, '') AS line FROM consent_changes x
             JOIN contacts c ON c.id = x.contact_id LEFT JOIN users u ON u.id = x.user_id ORDER BY x.id",
        )
    };
    assert_eq!(proofs(), [format!("{here} out Ada"), format!("{elsewhere} out Ada")]);
    let history = desk.history(here).await;
    history.shows("“STOP”");
    history.shows("wrote the word by Ada");

    // The other one says it again on a channel that is no sandbox, where nobody of the house can write.
    desk.sql(
        "INSERT INTO channels (name, kind, provider, sender, secret, created_at)
         SELECT 'Carrier', kind, 'webchat', sender, secret, created_at FROM channels ORDER BY id LIMIT 1",
    );
    desk.sql(
        "INSERT INTO consent_changes (contact_id, channel_id, at, change, how, words)
         SELECT id, (SELECT max(id) FROM channels), now(), 'out', 'keyword', 'STOP' FROM contacts
         WHERE address = '12025550102'",
    );
    for phone in [here, elsewhere] {
        desk.types(phone, "START").await;
    }
    let out = desk.lines("SELECT address AS line FROM contacts WHERE opted_out_at IS NOT NULL");
    assert_eq!(out, [elsewhere]);
    assert_eq!(proofs()[3..], [format!("{here} in Ada")]);
    desk.tick().await;
    assert!(desk.phone(elsewhere).last().unwrap().contains("cannot take that back"), "{:?}", desk.phone(elsewhere));

    // Nor when it is said here once more; where it was said first, they can.
    let out = || desk.lines("SELECT address AS line FROM contacts WHERE opted_out_at IS NOT NULL");
    desk.types(elsewhere, "STOP").await;
    desk.types(elsewhere, "START").await;
    assert_eq!(out(), [elsewhere]);
    let (text, now) = ("START".to_owned(), desk.app.clock.now());
    let inbound = Inbound { id: "start".to_owned(), from: elsewhere.to_owned(), text, ..Inbound::default() };
    desk.db(|conn| {
        let carrier = ChannelId(channels::table.select(max(channels::id).assume_not_null()).first(conn).unwrap());
        let setup = setups::find(conn, carrier).unwrap();
        take_in(conn, &setup, &inbound, now).unwrap();
    });
    assert_eq!(out(), [] as [&str; 0]);

    // What was taken back there, or was no opt-out, keeps nobody from taking back what they say here.
    desk.sql(
        "INSERT INTO consent_changes (contact_id, channel_id, at, change, how, words)
         SELECT id, (SELECT max(id) FROM channels), now(), 'doubted', 'words', 'Leave me alone' FROM contacts
         WHERE address = '12025550101'",
    );
    for phone in [here, elsewhere] {
        desk.types(phone, "STOP").await;
        assert_eq!(out(), [phone]);
        desk.types(phone, "START").await;
        assert_eq!(out(), [] as [&str; 0]);
    }
}

#[actix_web::test]
async fn what_lets_messages_out_again_is_for_managers() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.fill_in("/blocklist", &[("kind", "sms"), ("address", "353861234567")]).await;
    desk.gives_the_admin_the_role(Role::Operator);
    let page = desk.visit("/blocklist").await;
    page.shows("/blocklist/new");
    page.lacks("/remove");
    assert_eq!(desk.submit("/blocklist/1/remove").await.status, 403);
    desk.gives_the_admin_the_role(Role::Manager);
    desk.visit("/blocklist").await.shows("/remove");
    assert_eq!(desk.submit("/blocklist/1/remove").await.status, 303);
}
