//! The inbox: who waits, who answers, and what two agents at once are told.

use bugle::access::Role;
use bugle::ids::{BotId, UserId};
use bugle::inbox::store::{InboxAsk, InboxPlace, View, page};
use bugle::people::actions::add_user;
use bugle::people::domain::NewUser;

use diesel::connection::SimpleConnection;

use crate::desk::{Answer, Desk, phones};
use crate::talking::SURVEY;

impl Desk {
    fn add(&self, name: &str, role: Role) -> (UserId, String) {
        let email = format!("{}@example.org", name.to_lowercase());
        let new =
            NewUser { email: email.clone(), name: name.into(), role, password: "a long password of theirs".into() };
        let now = self.app.clock.now();
        (self.db(|conn| add_user(conn, &new, self.admin.into(), now).unwrap()), email)
    }

    async fn posts_as(&self, who: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let cookie = self.sign_in(who, "a long password of theirs").await;
        let request = actix_web::test::TestRequest::post()
            .uri(path)
            .insert_header(("Sec-Fetch-Site", "same-origin"))
            .set_form(fields)
            .cookie(cookie);
        self.send(request).await
    }

    async fn visits_as(&self, who: &str, path: &str) -> Answer {
        let cookie = self.sign_in(who, "a long password of theirs").await;
        self.send(actix_web::test::TestRequest::get().uri(path).cookie(cookie)).await
    }

    /// The page of somebody's newest conversation.
    fn thread_of(&self, phone: &str) -> String {
        let sql = "SELECT max(v.id) AS n FROM conversations v JOIN contacts c ON c.id = v.contact_id WHERE c.address";
        format!("/inbox/{}", self.number(&format!("{sql} = '{phone}'")))
    }

    /// A running survey among `n` people who have just been asked for a number, and their phones.
    async fn survey(&self, n: usize) -> (BotId, Vec<String>) {
        let bot = self.published("Survey", SURVEY);
        let to = phones(n);
        self.bot_campaign("Spring", bot, &to).await;
        self.db(|conn| {
            // As an import leaves them.
            let sql = "UPDATE contacts c SET \"values\" = r.\"values\", customer_id = r.customer_id
                       FROM file_rows r WHERE r.contact_id = c.id";
            conn.batch_execute(sql).unwrap();
        });
        self.tick().await;
        self.later(1);
        self.tick().await;
        (bot, to)
    }

    fn said(&self, sql: &str) -> i64 {
        self.number(&format!("SELECT count(*) AS n FROM messages WHERE {sql}"))
    }
}

const NEWEST: (&str, &str) = ("seen", "9999999");

#[actix_web::test]
async fn who_was_handed_over_waits_and_gets_an_answer_on_the_phone() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(2).await;
    desk.hears(&to[0], "2").await;
    let list = desk.visit("/inbox").await;
    assert!(list.html.find("Name1").unwrap() < list.html.find("Name2").unwrap(), "who waits stands first");
    list.shows("Waits since 09:00");
    list.shows("Survey");
    desk.visit("/inbox?view=unanswered").await.lacks("Name2");
    desk.visit("/inbox?view=bots").await.lacks("Name1");

    let thread = desk.thread_of(&to[0]);
    let shown = desk.visit(&thread).await;
    for what in [
        "Hello Name1.",
        "Greeting",
        "Survey v1, by campaign",
        "delivered",
        "Somebody will write to you.",
        "Waits for a human",
        "C1",
        "balance",
    ] {
        shown.shows(what);
    }
    let answer = desk.fill_in(&thread_reply(&thread), &[("body", "Sorry to hear that, #name."), NEWEST]).await;
    assert_eq!(answer.status, 303);
    desk.talk().await;
    assert_eq!(desk.phone(&to[0]).last().unwrap(), "Sorry to hear that, Name1.");
    let shown = desk.visit(&thread).await;
    shown.shows("Ada");
    shown.shows("Answered");
    desk.visit("/inbox?view=unanswered").await.shows("Nobody waits");
    desk.visit("/inbox?view=mine").await.shows("Name1");
    assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE happened = 'conversation.replied'"), 1);

    // They write again: it is the human's.
    desk.hears(&to[0], "Thanks").await;
    desk.visit("/inbox?view=unanswered").await.shows("Thanks");
}

fn thread_reply(thread: &str) -> String {
    format!("{thread}/reply")
}

#[actix_web::test]
async fn taking_over_silences_the_bot_for_good() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(1).await;
    let thread = desk.thread_of(&to[0]);
    let shown = desk.visit(&thread).await;
    shown.shows("waits for a reply to “Score”");
    shown.shows("Take over…");
    shown.lacks("id=\"reply-form\"");
    let refused = desk.fill_in(&thread_reply(&thread), &[("body", "Hi"), NEWEST]).await;
    assert_eq!(refused.status, 422);
    refused.shows("Take it over before you reply.");

    desk.visit(&format!("{thread}/take-over")).await.shows("It cannot be given back.");
    assert_eq!(desk.submit(&format!("{thread}/take-over")).await.status, 303);
    let again = desk.submit(&format!("{thread}/take-over")).await;
    assert_eq!(again.status, 409);
    desk.later(7200);
    desk.tick().await;
    desk.hears(&to[0], "5").await;
    assert_eq!(desk.phone(&to[0]).len(), 2, "no reminder and no answer of the bot");
    desk.visit(&thread).await.shows("id=\"reply-form\"");
    assert_eq!(
        desk.number("SELECT count(*) AS n FROM conversations WHERE memory -> 'state' ->> 'is' = 'handed_over'"),
        1
    );
}

#[actix_web::test]
async fn what_the_bot_has_not_begun_to_send_is_taken_back() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(1).await;
    let thread = desk.thread_of(&to[0]);
    desk.hears_as("x1", &to[0], "nonsense");
    assert_eq!(desk.submit(&format!("{thread}/take-over")).await.status, 303);
    desk.talk().await;
    assert_eq!(desk.phone(&to[0]).len(), 2);
    let shown = desk.visit(&thread).await;
    shown.shows("stopped");
    shown.shows("an agent took over");
    shown.shows("Waits for a human");
}

#[actix_web::test]
async fn two_agents_at_once_learn_of_one_another() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(2).await;
    let (ben, email) = desk.add("Ben", Role::Operator);
    desk.hears(&to[0], "1").await;
    let thread = desk.thread_of(&to[0]);
    let seen = desk.number("SELECT max(id) AS n FROM messages").to_string();
    assert_eq!(desk.fill_in(&thread_reply(&thread), &[("body", "Hello"), ("seen", &seen)]).await.status, 303);
    let late = desk.posts_as(&email, &thread_reply(&thread), &[("body", "Hello, too"), ("seen", &seen)]).await;
    assert_eq!(late.status, 422);
    late.shows("Ada has replied meanwhile.");
    late.shows("Hello, too");
    // The same pressed twice is once.
    assert_eq!(desk.fill_in(&thread_reply(&thread), &[("body", "Hello"), ("seen", &seen)]).await.status, 303);
    assert_eq!(desk.said("author = 'agent'"), 1);
    assert_eq!(desk.posts_as(&email, &thread_reply(&thread), &[("body", "Hello, too"), NEWEST]).await.status, 303);

    let thread = desk.thread_of(&to[1]);
    assert_eq!(desk.posts_as(&email, &format!("{thread}/take-over"), &[]).await.status, 303);
    let late = desk.submit(&format!("{thread}/take-over")).await;
    assert_eq!(late.status, 409);
    late.shows("Ben has taken this conversation over already.");
    assert_eq!(desk.number(&format!("SELECT count(*) AS n FROM conversations WHERE assigned_to = {ben}")), 1);

    // And truly at once, on two connections.
    let id = bugle::ids::ConversationId(thread.rsplit('/').next().unwrap().parse().unwrap());
    let (now, admin, newest) = (desk.app.clock.now(), desk.admin, desk.number("SELECT max(id) AS n FROM messages"));
    let said: Vec<bool> = std::thread::scope(|scope| {
        let both = [admin, ben].map(|by| {
            let app = &desk.app;
            scope.spawn(move || {
                let conn = &mut app.db.lend().unwrap();
                let seen = bugle::ids::MessageId(newest);
                let says = bugle::inbox::actions::AgentSays::Text("At once".into());
                bugle::inbox::actions::reply(conn, id, &says, seen, by, now).is_ok()
            })
        });
        both.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(said.iter().filter(|ok| **ok).count(), 1, "the second is told");
}

#[actix_web::test]
async fn a_reply_that_names_what_is_missing_does_not_leave() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(1).await;
    desk.hears(&to[0], "1").await;
    let thread = desk.thread_of(&to[0]);
    for (text, says) in [
        ("Dear #nmae", "#nmae is no field of this contact."),
        ("  ", "Write something."),
        (&"x".repeat(4001), "At most 4000 characters."),
    ] {
        let refused = desk.fill_in(&thread_reply(&thread), &[("body", text), NEWEST]).await;
        assert_eq!(refused.status, 422, "{text}");
        refused.shows(says);
    }
    desk.db(|conn| {
        conn.batch_execute(
            r#"INSERT INTO contacts (kind, address, "values") VALUES ('sms', '1', '{"due": "Friday"}')"#,
        )
        .unwrap();
    });
    let refused = desk.fill_in(&thread_reply(&thread), &[("body", "By #due, #name"), NEWEST]).await;
    assert_eq!(refused.status, 422);
    refused.shows("There is no value for #due.");
    refused.shows("By #due, #name");
    assert_eq!(desk.said("author = 'agent'"), 0);
    let measured = desk.fill_in_with_htmx(&format!("{thread}/measure"), &[("body", "By #due|Monday#, #name")]).await;
    measured.shows("1 SMS");
    measured.lacks("no value");
    desk.fill_in(&thread_reply(&thread), &[("body", "By #due|Monday#, #name"), NEWEST]).await;
    desk.talk().await;
    assert_eq!(desk.phone(&to[0]).last().unwrap(), "By Monday, Name1");
}

#[actix_web::test]
async fn somebody_decides_what_sounded_like_an_opt_out() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(2).await;
    for phone in &to {
        desk.hears(phone, "please stop texting me").await;
    }
    desk.visit("/inbox").await.shows("Opted out?");
    let (first, second) = (desk.thread_of(&to[0]), desk.thread_of(&to[1]));
    desk.visit(&first).await.shows("Have they opted out?");
    let refused = desk.submit(&format!("{first}/close")).await;
    assert_eq!(refused.status, 409);
    refused.shows("Decide first whether they have opted out.");

    assert_eq!(desk.submit(&format!("{first}/opted-out")).await.status, 303);
    let shown = desk.visit(&first).await;
    shown.shows("Opted out");
    shown.shows("opted out");
    shown.lacks("Have they opted out?");
    assert_eq!(desk.submit(&format!("{first}/kept")).await.status, 409, "it is decided");
    assert_eq!(desk.submit(&format!("{second}/kept")).await.status, 303);
    let proof = "SELECT count(*) AS n FROM consent_changes WHERE how = 'agent' AND words = 'please stop texting me'";
    assert_eq!(desk.number(&format!("{proof} AND change = 'out' AND user_id IS NOT NULL")), 1);
    assert_eq!(desk.number(&format!("{proof} AND change = 'kept'")), 1);

    // Nothing leaves to the first, and the second can be answered.
    desk.submit(&format!("{first}/reopen")).await;
    desk.visit(&first).await.shows("No reply is possible.");
    let refused = desk.fill_in(&thread_reply(&first), &[("body", "Hi"), NEWEST]).await;
    refused.shows("They have opted out: nothing to them would leave.");
    desk.fill_in(&thread_reply(&second), &[("body", "Glad you stay."), NEWEST]).await;
    desk.talk().await;
    assert_eq!(desk.phone(&to[1]).last().unwrap(), "Glad you stay.");
}

#[actix_web::test]
async fn a_conversation_is_closed_and_opened_again_and_somebody_is_blocked() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(1).await;
    let thread = desk.thread_of(&to[0]);
    assert_eq!(desk.submit(&format!("{thread}/close")).await.status, 303);
    desk.visit(&thread).await.shows("Closed by Ada");
    desk.visit("/inbox?view=closed").await.shows("Name1");
    assert_eq!(desk.submit(&format!("{thread}/close")).await.status, 409);
    desk.later(7200);
    desk.tick().await;
    assert_eq!(desk.phone(&to[0]).len(), 2, "the bot does not remind");
    assert_eq!(desk.submit(&format!("{thread}/reopen")).await.status, 303);
    assert_eq!(desk.submit(&format!("{thread}/reopen")).await.status, 409);
    let shown = desk.visit(&thread).await;
    shown.shows("A human has this conversation.");
    shown.shows("id=\"reply-form\"");

    desk.visit(&format!("{thread}/block")).await.shows("The conversation is closed.");
    assert_eq!(desk.fill_in(&format!("{thread}/block"), &[("why", "Abuse")]).await.status, 303);
    desk.visit(&thread).await.shows("blocked by Ada");
    desk.visit("/blocklist").await.shows("Abuse");
    assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE happened LIKE 'conversation.%'"), 3);
}

#[actix_web::test]
async fn conversations_are_assigned_labelled_and_found() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(3).await;
    let (ben, email) = desk.add("Ben", Role::Operator);
    let (viewer, _) = desk.add("Vic", Role::Viewer);
    let thread = desk.thread_of(&to[1]);
    assert_eq!(desk.fill_in(&format!("{thread}/assign"), &[("to", &ben.to_string())]).await.status, 303);
    assert_eq!(desk.fill_in(&format!("{thread}/assign"), &[("to", &viewer.to_string())]).await.status, 422);
    let mine = desk.visits_as(&email, "/inbox?view=mine").await;
    mine.shows("Name2");
    mine.lacks("Name1");
    desk.fill_in(&format!("{thread}/assign"), &[("to", "")]).await;
    desk.visits_as(&email, "/inbox?view=mine").await.shows("Nothing is assigned to you");

    assert_eq!(desk.fill_in(&format!("{thread}/labels"), &[("label", " VIP  client ")]).await.status, 303);
    desk.fill_in(&format!("{thread}/labels"), &[("label", "vip client")]).await;
    let refused = desk.fill_in(&format!("{thread}/labels"), &[("label", " ")]).await;
    assert_eq!(refused.status, 422);
    refused.shows("Write a label of at most 40 characters.");
    let labelled = desk.visit("/inbox?label=VIP+client").await;
    labelled.shows("Name2");
    labelled.lacks("Name3");
    desk.hears(&to[2], "Where is my parcel? 100%").await;

    for (search, found, not) in [
        (format!("q={}", to[0]), "Name1", "Name2"),
        ("q=%2B1+202".to_owned(), "Name3", "No such"),
        ("q=c3".to_owned(), "Name3", "Name1"),
        ("q=name2".to_owned(), "Name2", "Name3"),
        ("q=MY+PARCEL".to_owned(), "Name3", "Name1"),
        ("q=100%25".to_owned(), "Name3", "Name2"),
        (format!("channel={}", desk.channel), "Name1", "No such"),
        ("channel=99".to_owned(), "No such conversation", "Name1"),
        ("campaign=1&view=bots".to_owned(), "Name1", "No such"),
        ("campaign=77".to_owned(), "No such conversation", "Name1"),
    ] {
        let answer = desk.visit(&format!("/inbox?{search}")).await;
        let list = &answer.html[answer.html.find("id=\"conversations\"").unwrap()..];
        assert!(list.contains(found) && !list.contains(not), "{search}:\n{list}");
    }
    desk.fill_in(&format!("{thread}/labels/remove"), &[("label", "VIP client")]).await;
    desk.visit("/inbox?label=VIP+client").await.shows("No such conversation");
}

#[actix_web::test]
async fn pages_follow_one_another_without_a_gap() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(9).await;
    for (n, phone) in to.iter().enumerate().take(4) {
        desk.later(n as i64);
        desk.hears(phone, "1").await;
    }
    let mut ask = InboxAsk {
        view: View::All,
        channel: None,
        campaign: None,
        label: None,
        q: String::new(),
        place: InboxPlace::Start,
        person: desk.admin,
    };
    let mut seen = Vec::new();
    loop {
        let page = desk.db(|conn| page(conn, &ask, 2).unwrap());
        seen.extend(page.conversations.iter().map(|it| it.address.clone()));
        match page.next {
            Some(next) => ask.place = InboxPlace::parse(&next.to_string()),
            None => break,
        }
    }
    assert_eq!(seen[..4], to[..4], "the longest waiting first");
    let mut all = seen.clone();
    all.sort();
    assert_eq!((all, seen.len()), (to.clone(), 9));
}

#[actix_web::test]
async fn pages_ask_for_news_and_get_nothing_when_there_is_none() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(1).await;
    let (thread, news) = (desk.thread_of(&to[0]), |answer: &Answer| {
        let from = answer
            .html
            .split("hx-get=\"/inbox")
            .skip(1)
            .find(|it| it.contains("seen=") || (it.starts_with('/') && !it.starts_with("/count")))
            .unwrap();
        format!("/inbox{}", from.split('"').next().unwrap().replace("&#38;", "&"))
    });
    let (list, shown) = (news(&desk.visit("/inbox").await), news(&desk.visit(&thread).await));
    assert_eq!((desk.peek(&list).await.status, desk.peek(&shown).await.status), (204, 204));
    desk.hears(&to[0], "2").await;
    let told = desk.peek(&list).await;
    assert_eq!(told.status, 200);
    told.shows("Waits since");
    told.lacks("<html");
    assert_eq!(desk.peek(&news(&told)).await.status, 204);
    let told = desk.peek(&shown).await;
    told.shows("Waits for a human");
    told.shows("id=\"reply-form\"");
    assert_eq!(desk.peek(&news(&told)).await.status, 204);
    // What somebody is writing stays.
    let newer = news(&told);
    desk.hears(&to[0], "hello?").await;
    let told = desk.peek(&newer).await;
    told.shows("hello?");
    told.lacks("<textarea");
}

#[actix_web::test]
async fn a_viewer_only_looks_and_an_operator_takes_the_transcript_away() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(1).await;
    desk.hears(&to[0], "=1+1").await;
    let (_, email) = desk.add("Vic", Role::Viewer);
    let thread = desk.thread_of(&to[0]);
    let shown = desk.visits_as(&email, &thread).await;
    shown.shows("You may look.");
    for button in ["Take over…", "Assign", "Block…", "/close"] {
        shown.lacks(button);
    }
    for path in [
        "reply",
        "measure",
        "take-over",
        "close",
        "reopen",
        "assign",
        "labels",
        "labels/remove",
        "block",
        "opted-out",
        "kept",
    ] {
        assert_eq!(desk.posts_as(&email, &format!("{thread}/{path}"), &[("body", "x")]).await.status, 403, "{path}");
    }
    let refused = desk.visits_as(&email, &format!("{thread}/transcript.txt")).await;
    assert_eq!(refused.status, 403);
    shown.lacks("transcript");
    let (_, email) = desk.add("Ben", Role::Operator);
    desk.visits_as(&email, &thread).await.shows("/transcript.txt");
    let text = desk.visits_as(&email, &format!("{thread}/transcript.txt")).await;
    text.shows("Hello Name1.");
    text.shows("[delivered]");
    let table = desk.visits_as(&email, &format!("{thread}/transcript.csv")).await;
    table.shows("'=1+1");
    table.shows("\"Survey v1, by campaign\",Greeting,Hello Name1.,delivered,The phone confirmed it.");
    assert_eq!(desk.visit_as_stranger("/inbox").await.status, 303);
    assert_eq!(desk.visit("/inbox/999").await.status, 404);
    desk.visit("/inbox/keys").await.shows("Assign to me");
}

#[actix_web::test]
async fn older_messages_are_a_page_further() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(1).await;
    desk.hears(&to[0], "1").await;
    for n in 0..60 {
        desk.hears(&to[0], &format!("line {n}.")).await;
    }
    let thread = desk.thread_of(&to[0]);
    let shown = desk.visit(&thread).await;
    shown.shows("line 59.");
    shown.lacks("line 3.");
    let older = shown.html.split("href=\"").find(|it| it.contains("before=")).unwrap().split('"').next().unwrap();
    let shown = desk.visit(older).await;
    shown.shows("line 3.");
    shown.lacks("line 59.");
    shown.lacks("every 2s");
}

/// The text of a page's title.
fn title(html: &str) -> &str {
    html.split("<title>").nth(1).unwrap().split("</title>").next().unwrap()
}

#[actix_web::test]
async fn whoever_closes_a_conversation_goes_on_with_the_next_and_can_take_it_back() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(4).await;
    for phone in &to[..3] {
        desk.hears(phone, "2").await;
        desk.later(1);
    }
    let threads: Vec<String> = to.iter().map(|phone| desk.thread_of(phone)).collect();
    let next = desk.submit(&format!("{}/close", threads[0])).await;
    assert_eq!((next.status, next.location.as_deref()), (303, Some(threads[1].as_str())));
    let shown = desk.visit(&threads[1]).await;
    shown.shows(&format!("Closed: <a href=\"{}\">Name1</a>.", threads[0]));
    shown.shows(&format!("action=\"{}/reopen\"", threads[0]));
    desk.visit(&threads[1]).await.lacks("Closed: <a");

    // In a narrowed list the next is of that list, and the way back leads there.
    let list = desk.visit("/inbox?label=vip").await;
    list.lacks("class=\"conversation\"");
    desk.fill_in(&format!("{}/labels", threads[1]), &[("label", "vip")]).await;
    let list = desk.visit("/inbox?label=vip").await;
    list.shows(&format!("href=\"{}?list=label%3Dvip\"", threads[1]));
    let thread = desk.visit(&format!("{}?list=label%3Dvip", threads[1])).await;
    thread.shows("<a class=\"button\" href=\"/inbox?label=vip\"");
    thread.shows("name=\"list\" value=\"label=vip\"");
    let next = desk.fill_in(&format!("{}/close", threads[1]), &[("list", "label=vip")]).await;
    assert_eq!(next.location.as_deref(), Some("/inbox?label=vip"), "the third has no such label");
    let list = desk.visit("/inbox?label=vip").await;
    list.shows("Nobody else waits here.");
    desk.visit("/inbox?label=vip").await.lacks("Nobody else waits here.");

    // The one with the bot waits for nobody.
    let next = desk.submit(&format!("{}/close", threads[2])).await;
    assert_eq!(next.location.as_deref(), Some("/inbox"));
    assert_eq!(desk.submit(&format!("{}/reopen", threads[2])).await.status, 303);
    desk.visit(&threads[2]).await.lacks("Closed by");
}

#[actix_web::test]
async fn how_many_wait_for_somebody_stands_in_the_rail_and_in_the_title_and_is_the_list_behind_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (ben, mail) = desk.add("Ben", Role::Operator);
    assert_eq!(title(&desk.visit("/inbox").await.html), "Inbox · Bugle");
    assert_eq!(desk.peek("/inbox/count?was=0.off").await.status, 204);
    let (_, to) = desk.survey(4).await;
    for phone in &to[..3] {
        desk.hears(phone, "2").await;
    }
    let mine = desk.thread_of(&to[0]);
    desk.fill_in(&format!("{mine}/assign"), &[("to", &ben.to_string())]).await;

    let list = desk.visit("/inbox").await;
    assert_eq!(title(&list.html), "(2) Inbox · Bugle");
    list.shows("href=\"/inbox?view=for-you\" aria-label=\"2 for you\">2</a>");
    let rows = |html: &str| html.matches("class=\"conversation\"").count();
    assert_eq!(rows(&desk.visit("/inbox?view=for-you").await.html), 2);
    assert_eq!(title(&desk.visit(&mine).await.html), "(2) Name1 · Bugle");
    let theirs = desk.visits_as(&mail, "/inbox?view=for-you").await;
    assert_eq!((title(&theirs.html), rows(&theirs.html)), ("(3) Inbox · Bugle", 3));

    // Every page asks for it again, and hears nothing while it is the same.
    desk.visit("/calendar").await.shows("hx-get=\"/inbox/count?was=\"");
    let count = desk.peek("/inbox/count?was=").await;
    count.shows("was=2.off");
    count.shows(">2</a>");
    assert_eq!(desk.peek("/inbox/count?was=2.off").await.status, 204);
    desk.submit(&format!("{}/close", desk.thread_of(&to[1]))).await;
    desk.peek("/inbox/count?was=2.off").await.shows(">1</a>");

    // A sound or a notification is wanted by a person, and by nobody else.
    assert_eq!(desk.fill_in("/account/alerts", &[("alerts", "loud")]).await.status, 422);
    assert_eq!(desk.fill_in("/account/alerts", &[("alerts", "sound")]).await.location.as_deref(), Some("/inbox"));
    desk.visit("/inbox").await.shows("<option value=\"sound\" selected>");
    desk.peek("/inbox/count?was=1.off").await.shows("data-alerts=\"sound\"");
    desk.visits_as(&mail, "/inbox").await.shows("<option value=\"off\" selected>");
}

#[actix_web::test]
async fn a_search_finds_names_without_accents_and_numbers_as_people_say_them() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, to) = desk.survey(3).await;
    desk.sql(&format!(
        "UPDATE contacts SET \"values\" = '{{\"Nachname\": \"Anna Müller\"}}' WHERE address = '{}'",
        to[0]
    ));
    desk.sql(&format!("UPDATE contacts SET address = '4915123456704' WHERE address = '{}'", to[1]));
    let found = async |q: &str| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", q).finish();
        let html = desk.visit(&format!("/inbox?{query}")).await.html;
        html.matches("class=\"conversation\"").count()
    };
    for q in ["Müller", "muller", "MULLER", "anna mu"] {
        assert_eq!(found(q).await, 1, "{q}");
    }
    assert_eq!(found("üller").await, 0, "a name is found by how one of its words begins");
    for q in ["+49 151 23456704", "0151 23456704", "0151/234567-04", "456704", "6704"] {
        assert_eq!(found(q).await, 1, "{q}");
    }
    assert_eq!(found("6705").await, 0);
}
