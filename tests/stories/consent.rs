//! Opting out and back in: at once, answered once, in people's own words, and with proof.

use bugle::access::Role;
use bugle::pacing::LatePolicy;

use super::desk::{Desk, phones};
use super::talking::SURVEY;

impl Desk {
    fn outcome(&self, address: &str) -> i64 {
        self.number(&format!(
            "SELECT coalesce(max(outcome), -1)::bigint AS n FROM deliveries WHERE address = '{address}'"
        ))
    }

    fn proofs(&self, what: &str) -> i64 {
        self.number(&format!("SELECT count(*) AS n FROM consent_changes WHERE {what}"))
    }
}

const OUT: &str = "You will get no more messages from us. Reply START to get them again.";

#[actix_web::test]
async fn stop_while_thousands_are_queued_stops_the_rest_for_that_person() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    let to = phones(2000);
    desk.bot_campaign("Spring", bot, &to).await;
    desk.campaign_to("Offer", &to[..3], "10:00-11:00", 60.0, LatePolicy::CatchUp).await;
    desk.run_until("2026-03-02 09:00:02").await;
    let (sent, waiting, next) = (&to[0], &to[350], &to[351]);
    assert_eq!((desk.phone(sent).len(), desk.phone(waiting).len()), (2, 0));

    desk.hears(sent, "STOP").await;
    desk.hears(waiting, "Stop!").await;
    desk.run_until("2026-03-02 09:00:05").await;
    assert_eq!(desk.phone(next).len(), 2, "everybody else goes on");
    assert_eq!((desk.phone(waiting), desk.outcome(waiting)), (vec![OUT.to_owned()], 23));
    assert_eq!(desk.phone(sent)[2..], [OUT.to_owned()]);

    desk.run_until("2026-03-02 09:00:30").await;
    desk.at("2026-03-02 10:00");
    desk.run_until("2026-03-02 10:00:05").await;
    assert_eq!(desk.outcome(sent), 23, "nor does another campaign reach them, nor a reminder");
    assert_eq!(desk.phone(sent).len(), 3);
}

#[actix_web::test]
async fn an_opt_out_is_confirmed_once_and_start_brings_back() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    let (to, it) = (phones(1), &phones(1)[0]);
    desk.bot_campaign("Spring", bot, &to).await;
    desk.tick().await;
    for said in ["stop", "STOP", "hello?", "5"] {
        desk.hears(it, said).await;
    }
    assert_eq!(desk.phone(it)[2..], [OUT.to_owned()], "confirmed once, and nothing else is said");
    desk.hears(it, "Help").await;
    desk.hears(it, "yes").await;
    let after = &desk.phone(it)[3..];
    assert!(after[0].starts_with("Reply STOP to get no more") && after[1].starts_with("You will get our messages"));
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts WHERE opted_out_at IS NULL"), 1);
    assert_eq!((desk.proofs("change = 'out'"), desk.proofs("change = 'in' AND words = 'yes'")), (2, 1));
    desk.hears(it, "Yes").await;
    assert_eq!(desk.proofs("change = 'in'"), 1, "it brings back only who is out");
}

#[actix_web::test]
async fn each_language_has_its_words_and_stop_stops_in_all() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let [german, dutch, sure, quiet] = [0, 1, 2, 3].map(|n| phones(4)[n].clone());
    desk.hears(&german, "Abmelden").await;
    assert!(desk.phone(&german)[0].starts_with("Sie bekommen keine Nachrichten mehr"));

    let fields = |name: &'static str, was: &'static str, stop: &'static str, stopped: &'static str| {
        [
            ("was", was),
            ("name", name),
            ("stop", stop),
            ("start", "aan"),
            ("help", "hulp"),
            ("stopped", stopped),
            ("started", "Weer aan."),
            ("helped", ""),
        ]
    };
    let path = "/settings/consent/language";
    let wrong = desk.fill_in(path, &fields("Dutch", "", "afmelden, Ayuda", "Klaar.")).await;
    assert_eq!(wrong.status, 422);
    wrong.shows("“Ayuda” already means help in Spanish.");
    wrong.shows("afmelden, Ayuda");
    let saved = desk.fill_in(path, &fields("Dutch", "", "afmelden", "Klaar.")).await;
    assert_eq!(saved.status, 303, "{}", saved.html);
    desk.hears(&dutch, "Afmelden").await;
    assert_eq!(desk.phone(&dutch), ["Klaar."]);

    // What nobody can take away.
    for name in ["French", "Spanish", "Portuguese", "German"] {
        desk.fill_in("/settings/consent/language/remove", &[("was", name)]).await;
    }
    let none = [("was", "English"), ("name", "English"), ("stop", ""), ("start", "unsubscribe"), ("help", "")];
    let wrong = desk.fill_in(path, &none).await;
    wrong.shows("“unsubscribe” always means stop");
    desk.fill_in(path, &none.map(|(field, text)| (field, if field == "start" { "" } else { text }))).await;
    let page = desk.visit("/settings/consent").await;
    page.shows("Nothing is said to who opts out in English.");
    desk.hears(&sure, "UNSUBSCRIBE").await;
    desk.hears(&quiet, "cancel").await;
    assert_eq!(desk.proofs("words = 'UNSUBSCRIBE' AND change = 'out' AND answered IS NULL"), 1);
    assert_eq!((desk.phone(&sure).len(), desk.proofs("words = 'cancel'")), (0, 0));

    desk.fill_in("/settings/consent/language/remove", &[("was", "Dutch")]).await;
    let last = desk.fill_in("/settings/consent/language/remove", &[("was", "English")]).await;
    assert_eq!(last.status, 409);
    desk.submit("/settings/consent/reset").await;
    desk.visit("/settings/consent").await.shows("stop, stop all, stopall");
    let journal =
        |happened: &str| desk.number(&format!("SELECT count(*) AS n FROM journal WHERE happened = '{happened}'"));
    assert_eq!((journal("consent.changed"), journal("consent.reset")), (7, 1));
}

#[actix_web::test]
async fn natural_words_can_be_left_to_the_bot_and_providers_confirm_themselves() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    let to = phones(2);
    desk.bot_campaign("Spring", bot, &to).await;
    desk.run_until("2026-03-02 09:00:01").await;
    let channel = desk.channel.to_string();
    desk.fill_in("/settings/consent/channels", &[("natural", channel.as_str()), ("silent", channel.as_str())]).await;
    desk.hears(&to[0], "quit").await;
    assert_eq!(desk.phone(&to[0])[2..], ["A number, please.".to_owned()]);
    desk.hears(&to[1], "stop").await;
    assert_eq!(desk.phone(&to[1]).len(), 2, "the provider says it");
    assert_eq!(desk.proofs("change = 'out' AND answered IS NULL"), 1);

    desk.fill_in("/settings/consent/channels", &[]).await;
    desk.hears(&to[0], "quit").await;
    assert_eq!(desk.phone(&to[0])[3..], [OUT.to_owned()]);
}

#[actix_web::test]
async fn an_opt_out_in_their_own_words_holds_campaigns_back_and_is_flagged() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    let to = phones(2);
    desk.bot_campaign("Spring", bot, &to).await;
    desk.tick().await;
    desk.hears(&to[0], "Please stop texting me").await;
    let flagged = "SELECT count(*) AS n FROM conversations WHERE doubted AND unanswered_since IS NOT NULL";
    assert_eq!(desk.number(flagged), 1);
    assert_eq!(desk.phone(&to[0]).len(), 2, "nothing is said by itself");
    let contact = desk.number(&format!("SELECT id AS n FROM contacts WHERE address = '{}'", to[0]));
    let history = desk.visit(&format!("/contacts/{contact}")).await;
    history.shows("Seems to have opted out</b>");
    history.shows("“Please stop texting me”");

    desk.campaign_to("Offer", &to, "09:00-11:00", 6000.0, LatePolicy::CatchUp).await;
    desk.later(2);
    desk.tick().await;
    assert_eq!((desk.outcome(&to[0]), desk.phone(&to[0]).len()), (28, 2));
    assert_eq!(desk.phone(&to[1]).len(), 3);
    assert_eq!(desk.proofs("change = 'doubted' AND how = 'words' AND words = 'Please stop texting me'"), 1);
    desk.hears(&to[0], "STOP").await;
    assert_eq!(desk.phone(&to[0])[2..], [OUT.to_owned()]);
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts WHERE doubted_at IS NOT NULL"), 0);
}

#[actix_web::test]
async fn an_opt_out_in_a_sentence_opts_out_or_is_shown_and_no_bot_answers_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    desk.inbound("Desk", bot, &Default::default());
    let out = ["stop please", "Stop. Thank you", "ＳＴＯＰ", "STOP\n\nSent from my iPhone", "ARRET SMS", "STOP2END"];
    let doubted = ["STOP - Anna", "Stop!!! I never signed up", "delete my number", "Keine Nachrichten mehr bitte"];
    let neither = ["don't stop", "the bus stop", "Stop by tomorrow?", "please don't unsubscribe me"];
    let to = phones(out.len() + doubted.len() + neither.len());
    for (phone, text) in to.iter().zip(out.iter().chain(&doubted).chain(&neither)) {
        desk.hears(phone, text).await;
    }

    let ids = |sql: &str| desk.lines(&format!("SELECT address AS line FROM contacts WHERE {sql} ORDER BY id"));
    assert_eq!(ids("opted_out_at IS NOT NULL"), to[..out.len()]);
    assert_eq!(ids("doubted_at IS NOT NULL"), to[out.len()..out.len() + doubted.len()]);
    assert_eq!(desk.proofs("change = 'out' AND how = 'keyword' AND words = 'ARRET SMS' AND answered LIKE 'Vous%'"), 1);
    for (n, phone) in to.iter().enumerate() {
        let said = desk.phone(phone);
        let hears_bot = said.iter().any(|text| text.starts_with("Hello"));
        assert_eq!(hears_bot, n >= out.len() + doubted.len(), "{n}: {said:?}");
    }
    // Whoever is in doubt is shown to humans, and passed by until one has decided.
    let shown = "SELECT count(*) AS n FROM conversations WHERE doubted AND unanswered_since IS NOT NULL";
    assert_eq!(desk.number(shown), doubted.len() as i64);
    desk.visit("/inbox").await.shows("Opted out?");
    desk.campaign_to("Offer", &to, "09:00-11:00", 6000.0, LatePolicy::CatchUp).await;
    desk.later(2);
    desk.tick().await;
    assert_eq!((desk.outcome(&to[0]), desk.outcome(&to[out.len()]), desk.outcome(to.last().unwrap())), (23, 28, 0));
    desk.visit("/settings/consent?text=Stop.+Thank+you").await.shows("Means stop (English).");
    desk.visit("/settings/consent?text=STOP+-+Anna").await.shows("Sounds like an opt-out.");
    desk.visit("/settings/consent?text=the+bus+stop").await.shows("No word of consent.");
}

#[actix_web::test]
async fn the_proof_is_complete_on_the_page_in_the_table_and_in_the_history() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let it = &phones(1)[0];
    let stranger = "12025550191";
    desk.campaign_to("Offer", &[it.clone(), stranger.to_owned()], "09:00-11:00", 6000.0, LatePolicy::CatchUp).await;
    desk.later(2);
    desk.tick().await;
    let run = desk.number("SELECT id AS n FROM schedule_runs");
    assert_eq!(desk.proofs(&format!("how = 'provider' AND change = 'out' AND message = '{run}-2-1'")), 1);
    desk.hears_as("SM17", it, "=take me off your list");
    desk.hears_as("SM18", it, "Stop.");
    desk.talk().await;

    let page = desk.visit("/settings/consent").await;
    for words in ["Stop.", "SM18", "wrote the word", "the provider said so", OUT] {
        page.shows(words);
    }
    page.lacks(&format!("{run}-2-1"));
    let found = desk.visit("/settings/consent?q=%2B1%20202%20555").await;
    found.shows(stranger);
    found.lacks(&format!(">{it}</a>"));
    let table = desk.visit("/settings/consent/changes.csv").await;
    assert!(table.headers.get("content-disposition").unwrap().to_str().unwrap().contains("consent.csv"));
    let lines: Vec<&str> = table.html.lines().collect();
    assert_eq!(lines.len(), 4, "{}", table.html);
    assert!(lines[0].contains("address,kind,time,change,how,words,channel,message,answered,by"));
    for (n, words) in [(1, "Stop."), (1, "SM18"), (1, OUT), (1, "keyword"), (2, "'=take me off"), (3, "provider")] {
        assert!(lines[n].contains(words), "{n}: {words} in {}", table.html);
    }
    assert_eq!(desk.visit("/settings/consent/changes.csv?q=12025550191").await.html.lines().count(), 2);

    let contact = desk.number(&format!("SELECT id AS n FROM contacts WHERE address = '{it}'"));
    let history = desk.visit(&format!("/contacts/{contact}")).await;
    history.shows("Opted out</span>");
    history.shows("“Stop.”");
    let at = |text: &str| history.html.find(text).unwrap_or(usize::MAX);
    assert!(at("“Stop.”") < at("Offer-2026-03-02"), "the newest first");
}

#[actix_web::test]
async fn a_reply_that_the_provider_refuses_is_proof_too() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.hears("12025550191", "help").await;
    let reply = desk.number("SELECT id AS n FROM messages WHERE author = 'house'");
    assert_eq!(desk.proofs(&format!("how = 'provider' AND message = 'm{reply}-1'")), 1);
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts WHERE opted_out_at IS NOT NULL"), 1);
    desk.hears("12025550191", "info").await;
    assert_eq!(desk.proofs("how = 'provider'"), 1, "it is news once");
}

#[actix_web::test]
async fn a_message_is_tried_and_only_admins_change_the_words() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.visit("/settings/consent?text=Arr%C3%AAt")
        .await
        .shows("Means stop (French). From then on nothing leaves to them.");
    desk.visit("/settings/consent?text=leave+me+alone").await.shows("Sounds like an opt-out.");
    desk.visit("/settings").await.shows(r#"href="/settings/consent""#);
    desk.visit("/settings/consent/language?was=English").await.shows(r#"value="English""#);
    assert_eq!(desk.visit("/settings/consent/language?was=Latin").await.status, 404);
    desk.gives_the_admin_the_role(Role::Manager);
    let page = desk.visit("/settings/consent").await;
    page.shows("Only an admin can change it.");
    page.lacks("Add a language");
    assert_eq!(desk.visit("/settings/consent/changes.csv").await.status, 200);
    for path in ["language", "language/remove", "channels", "reset"] {
        let fields = [("was", "English"), ("name", "English")];
        assert_eq!(desk.fill_in(&format!("/settings/consent/{path}"), &fields).await.status, 403, "{path}");
    }
}
