//! From a name to a launch.

use bugle::engine::importer;
use bugle::ids::CampaignId;
use bugle::lists;
use bugle::providers::Kind;

use super::desk::{Answer, Desk};

const PEOPLE: &str = "phone,name,city\n+12025550101,Anna,Cork\n+12025550102,Ben,\n+12025550103,,Galway\n";

fn shows(page: &Answer, what: &str) {
    assert!(page.html.contains(what), "“{what}” is not in:\n{}", page.html);
}

fn lacks(page: &Answer, what: &str) {
    assert!(!page.html.contains(what), "“{what}” is in:\n{}", page.html);
}

/// A draft with three imported contacts. Returns the path that everything of it begins with.
async fn draft(desk: &Desk, name: &str) -> String {
    let answer = desk.fill_in("/campaigns", &[("name", name), ("time_zone", "Europe/Dublin")]).await;
    let location = answer.location.unwrap_or_else(|| panic!("{}", answer.html));
    let path = location.strip_suffix("/edit").unwrap().to_owned();
    let answer = desk.upload(&format!("{path}/file"), "people.csv", PEOPLE.as_bytes(), &[]).await;
    assert_eq!((answer.status, answer.location), (303, Some(format!("{path}/edit#contacts"))), "{}", answer.html);
    let file = desk.number("SELECT max(id) AS n FROM files");
    let mapping = [("use-0", "channel_id"), ("use-1", "data"), ("use-2", "data"), ("region", "everywhere")];
    assert_eq!(desk.fill_in(&format!("/files/{file}/import"), &mapping).await.status, 303);
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);
    path
}

fn schedule<'a>(desk: &'a str, body: &'a str, start: &'a str, end: &'a str) -> [(&'a str, &'a str); 8] {
    [
        ("schedule_name", "Main"),
        ("channel", desk),
        ("body", body),
        ("date", "2026-03-02"),
        ("start", start),
        ("end", end),
        ("rate", "1"),
        ("late", "catch_up"),
    ]
}

#[actix_web::test]
async fn a_newcomer_is_led_from_a_name_to_a_running_campaign() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    shows(&desk.visit("/campaigns/new").await, r#"<option value="Europe/Dublin">"#);
    let answer = desk.fill_in("/campaigns", &[("name", "Spring offer"), ("time_zone", "Europe/Dublin")]).await;
    let page = desk.visit(&answer.location.unwrap()).await;
    shows(&page, "Upload the contacts first.");
    shows(&page, "Add a file with contacts first.");
    shows(&page, r#"<button class="button primary" id="launch" disabled>Launch</button>"#);

    let path = draft(&desk, "Autumn offer").await;
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, "3 contacts from people.csv");
    shows(&page, "<code>#name</code>");
    lacks(&page, "<code>#phone</code>");
    // The next full quarter of an hour, for two hours.
    shows(&page, r#"type="time" value="09:15""#);
    shows(&page, r#"type="time" value="11:15""#);

    let channel = desk.channel.to_string();
    let answer =
        desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, "Hi #name|there#!", "09:15", "09:17")).await;
    assert_eq!(answer.location.as_deref(), Some(format!("{path}/edit#schedules").as_str()), "{}", answer.html);
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, "Hi Anna!");
    shows(&page, "2 March 2026, 09:15 to 09:17 (Europe/Dublin)");
    shows(&page, "1 of 3 contacts would not be reached before the end.");
    shows(&page, "2 planned until the end at 09:17. 1 would be left unsent.");
    lacks(&page, " disabled>Launch");

    assert_eq!(desk.visit(&path).await.location, Some(format!("{path}/edit#schedules")));
    let answer = desk.submit(&format!("{path}/launch")).await;
    let id: i64 = path.rsplit('/').next().unwrap().parse().unwrap();
    assert_eq!(answer.location, Some(format!("/campaigns?open={id}&launched=yes")));
    desk.visit(&answer.location.unwrap()).await.shows("Launched. ");
    assert_eq!(desk.campaign_state(CampaignId(id)), "active");
    assert_eq!(desk.visit(&path).await.location, Some(format!("/campaigns?open={id}")));
    assert_eq!(desk.submit(&format!("{path}/launch")).await.status, 303, "a second press leads to the same place");
    desk.tick().await;
    desk.run_until("2026-03-02 09:17:01").await;
    let bodies: Vec<_> = desk.received().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies, ["Hi Anna!", "Hi Ben!"], "as the review said");
}

#[actix_web::test]
async fn mistakes_are_named_where_they_were_made_and_nothing_typed_is_lost() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let page = desk.fill_in("/campaigns", &[("name", "X"), ("time_zone", "Dublin")]).await;
    assert_eq!(page.status, 422);
    shows(&page, "Choose a time zone from the list");
    shows(&page, r#"value="Dublin""#);

    let path = draft(&desk, "Offer").await;
    let page = desk.fill_in("/campaigns", &[("name", "offer"), ("time_zone", "UTC")]).await;
    assert_eq!(page.status, 422);
    shows(&page, "Another campaign is called");

    let channel = desk.channel.to_string();
    let page = desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, "Dear #name", "07:00", "08:00")).await;
    assert_eq!(page.status, 422);
    shows(&page, "This has passed. Choose a later date or end time.");
    shows(&page, "Dear #name</textarea>");
    let page = desk.fill_in(&format!("{path}/schedules"), &schedule("4711", "", "later", "25:00")).await;
    for error in ["Choose a channel.", "Write the text.", "A time, such as 09:00.", "A time, such as 18:00."] {
        shows(&page, error);
    }

    let page = desk.upload(&format!("{path}/file"), "nothing.csv", b"", &[]).await;
    assert_eq!(page.status, 422);
    shows(&page, r#"<p class="note bad" role="alert" id="file-error">"#);
    shows(&page, "3 contacts from people.csv");
}

#[actix_web::test]
async fn schedules_are_changed_and_removed_while_it_is_a_draft() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Offer").await;
    let channel = desk.channel.to_string();
    desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, "One", "10:00", "11:00")).await;
    let twice = desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, "Two", "10:00", "11:00")).await;
    assert_eq!(twice.status, 422);
    shows(&twice, "Another schedule of this campaign has this name.");

    let id = desk.number("SELECT id AS n FROM schedules");
    shows(&desk.visit(&format!("{path}/edit?schedule={id}")).await, "One</textarea>");
    desk.fill_in(&format!("{path}/schedules/{id}"), &schedule(&channel, "One\r\nline", "10:00", "11:00")).await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM schedules WHERE body = E'One\\nline'"), 1);
    let elsewhere = draft(&desk, "Other").await;
    let stray =
        desk.fill_in(&format!("{elsewhere}/schedules/{id}"), &schedule(&channel, "Mine", "10:00", "11:00")).await;
    assert_eq!(stray.status, 404, "a schedule is changed in its own campaign only");
    desk.submit(&format!("{path}/schedules/{id}/remove")).await;
    shows(&desk.visit(&format!("{path}/edit")).await, "No schedules belong to this campaign");

    assert_eq!(desk.submit(&format!("{path}/discard")).await.location.as_deref(), Some("/campaigns"));
    assert_eq!(desk.visit(&format!("{path}/edit")).await.status, 404);
}

#[actix_web::test]
async fn the_review_tells_what_would_go_wrong() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let (channel, body) = (desk.channel.to_string(), "Dear #name in #city, #nmae");
    let first = draft(&desk, "First").await;
    desk.fill_in(&format!("{first}/schedules"), &schedule(&channel, "Hello", "10:00", "11:00")).await;
    desk.submit(&format!("{first}/launch")).await;

    let path = draft(&desk, "Second").await;
    desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, body, "09:00", "11:00")).await;
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, "These contacts were already messaged by “First”");
    shows(&page, "2 contacts lack a value for #name or #city");
    shows(&page, "#nmae is no field of the file");
    shows(&page, "launched now, it starts late. The 3 that were due by now leave at once.");
    shows(&page, "Dear Anna in Cork, #nmae");
    desk.sql("UPDATE channels SET per_minute = 1");
    lacks(&desk.visit(&format!("{path}/edit")).await, "lets only 1 a minute go");
    desk.sql("UPDATE schedules SET rate = 20");
    shows(&desk.visit(&format!("{path}/edit")).await, "lets only 1 a minute go");

    // What was fine a while ago need not be at the launch.
    desk.at("2026-03-02 11:00");
    let page = desk.submit(&format!("{path}/launch")).await;
    assert_eq!(page.status, 422);
    shows(&page, "It was not launched.");
    assert_eq!(desk.number("SELECT count(*) AS n FROM schedule_runs"), 1);
}

#[actix_web::test]
async fn contacts_and_channels_of_different_kinds_do_not_meet() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    desk.sql(
        "INSERT INTO channels (name, kind, provider, sender, secret, created_at)
         VALUES ('Offers', 'whatsapp', 'sandbox', 'Shop', 's', now())",
    );
    let other = desk.number("SELECT id AS n FROM channels WHERE kind = 'whatsapp'").to_string();
    let path = draft(&desk, "Offer").await;
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, "Its addresses are for");
    lacks(&page, "Offers (WhatsApp");
    let page = desk.fill_in(&format!("{path}/schedules"), &schedule(&other, "Hi", "10:00", "11:00")).await;
    assert_eq!(page.status, 422);
    shows(&page, "not of this kind: WhatsApp");

    // The other way round: the file is exchanged below a schedule that fitted.
    let sms = desk.channel.to_string();
    desk.fill_in(&format!("{path}/schedules"), &schedule(&sms, "Hi", "10:00", "11:00")).await;
    desk.upload(&format!("{path}/file"), "people.csv", PEOPLE.as_bytes(), &[("kind", "whatsapp")]).await;
    let file = desk.number("SELECT max(id) AS n FROM files");
    let mapping = [("use-0", "channel_id"), ("use-1", "data"), ("use-2", "data"), ("region", "everywhere")];
    desk.fill_in(&format!("/files/{file}/import"), &mapping).await;
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);
    let page = desk.submit(&format!("{path}/launch")).await;
    assert_eq!(page.status, 422);
    shows(&page, "goes through a channel that does not reach the addresses of the file");
    assert_eq!(desk.number("SELECT count(*) AS n FROM files WHERE kind = 'whatsapp'"), 1);
    let campaign = path.rsplit('/').next().unwrap();
    let measured = desk.fill_in_with_htmx("/wording/measure", &[("body", "Ĝis"), ("campaign", campaign)]).await;
    shows(&measured, r#"<b class="num">3</b>"#);
    lacks(&measured, "SMS");
    shows(&desk.visit(&format!("{path}/edit?schedule=new")).await, "Offers (WhatsApp, from Shop)");
}

#[actix_web::test]
async fn where_there_is_one_kind_of_channel_the_file_is_of_that_kind() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    desk.sql("UPDATE channels SET kind = 'whatsapp'");
    let path = empty_draft(&desk, "Offer", "once_off", "UTC").await;
    let page = desk.visit(&format!("{path}/edit")).await;
    lacks(&page, "Its addresses are for");
    shows(&page, r#"<input type="hidden" name="kind" value="whatsapp">"#);
}

#[actix_web::test]
async fn a_schedule_is_removed_only_under_its_own_campaign() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let channel = desk.channel.to_string();
    let (path, other) = (draft(&desk, "Offer").await, draft(&desk, "Other").await);
    desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, "Hi", "10:00", "11:00")).await;
    let id = desk.number("SELECT id AS n FROM schedules");
    assert_eq!(desk.submit(&format!("{other}/schedules/{id}/remove")).await.status, 404);
    assert_eq!(count(&desk, "schedules"), 1);
    assert_eq!(desk.submit(&format!("{path}/schedules/{id}/remove")).await.status, 303);
    assert_eq!(count(&desk, "schedules"), 0);
}

#[actix_web::test]
async fn a_file_can_be_left_out_and_another_taken() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Offer").await;
    desk.submit(&format!("{path}/file/remove")).await;
    shows(&desk.visit(&format!("{path}/edit")).await, "Upload the contacts first.");
    desk.upload(&format!("{path}/file"), "others.csv", PEOPLE.as_bytes(), &[]).await;
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, "What are the columns of others.csv?");
    shows(&page, "The file is not imported yet.");
}

/// Whether an answer has the page of a draft draw what follows from it.
fn tells_draft(answer: &Answer) -> bool {
    answer.headers.get("hx-trigger").is_some_and(|it| it == "draft-changed")
}

#[actix_web::test]
async fn what_follows_from_the_columns_is_there_once_the_file_is_imported() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let answer = desk.fill_in("/campaigns", &[("name", "Offer"), ("time_zone", "UTC")]).await;
    let edit = answer.location.unwrap();
    let (path, campaign) = (edit.strip_suffix("/edit").unwrap(), edit.split('/').nth(2).unwrap());
    let answer = desk.upload_with_htmx(&format!("{path}/file"), "people.csv", PEOPLE.as_bytes()).await;
    assert_eq!((answer.status, tells_draft(&answer)), (204, true), "{}", answer.html);
    let page = desk.peek(&edit).await;
    shows(
        &page,
        &format!(r##"hx-get="{edit}" hx-trigger="draft-changed from:body" hx-target="this" hx-select="#draft""##),
    );
    lacks(&page, "Not grouped");

    let file = desk.number("SELECT max(id) AS n FROM files");
    let mapping = [("use-0", "channel_id"), ("use-1", "data"), ("use-2", "data"), ("region", "everywhere")];
    let panel = format!("/files/{file}/panel?campaign={campaign}");
    assert!(tells_draft(&desk.fill_in_with_htmx(&format!("/files/{file}/import?campaign={campaign}"), &mapping).await));
    assert!(!tells_draft(&desk.peek(&panel).await), "as long as it is imported nothing follows from it");
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);
    assert!(tells_draft(&desk.peek(&panel).await));
    shows(&desk.peek(&edit).await, "Not grouped: every schedule sends to every contact");
}

#[actix_web::test]
async fn each_form_of_a_draft_is_saved_by_itself_and_the_others_stay() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Offer").await;
    let channel = desk.channel.to_string();
    let forms: [(&str, &[(&str, &str)]); 4] = [
        ("edit", &[("name", "Spring"), ("kind", "once_off"), ("time_zone", "Europe/Dublin")]),
        ("group", &[("group_by", "city")]),
        ("quiet", &[("quiet", "none"), ("blackouts", "apply")]),
        ("validity", &[("validity", "3"), ("validity_unit", "days")]),
    ];
    for (verb, fields) in forms {
        let answer = desk.fill_in_with_htmx(&format!("{path}/{verb}"), fields).await;
        assert_eq!((answer.status, tells_draft(&answer)), (204, true), "{verb}: {}", answer.html);
    }
    // What is open stays open when the page is drawn anew, and its address says so.
    let open = format!("{path}/edit?schedule=new&group=Cork");
    let page = desk.peek(&open).await;
    shows(&page, r#"id="schedule-form""#);
    assert_eq!(page.headers.get("hx-replace-url").unwrap(), open.as_str());
    page.shows(&format!(r#"hx-get="{}""#, open.replace('&', "&#38;")).replace("&#38;", "&"));

    // A schedule that is saved closes its form; one that is wrong brings it back.
    let grouped = |end: &'static str| {
        let mut fields = schedule(&channel, "Hi #name|there#", "09:15", end).to_vec();
        fields.push(("group", "Cork"));
        fields
    };
    let wrong = desk.fill_in_with_htmx(&format!("{path}/schedules"), &grouped("25:00")).await;
    assert_eq!(wrong.status, 422);
    shows(&wrong, r#"id="end-error""#);
    let saved = desk.fill_in_with_htmx(&format!("{path}/schedules"), &grouped("10:15")).await;
    let there = saved.headers.get("hx-location").unwrap().to_str().unwrap();
    assert!(there.contains(&format!(r#""path":"{path}/edit""#)), "{there}");
    let launched = desk.fill_in_with_htmx(&format!("{path}/launch"), &[]).await;
    assert!(launched.headers.get("hx-redirect").unwrap().to_str().unwrap().ends_with("&launched=yes"));
    let edit = desk.peek(&format!("{path}/edit")).await;
    assert!(edit.headers.contains_key("hx-redirect"), "there is no draft any more to draw");
}

#[actix_web::test]
async fn what_a_colleague_changed_meanwhile_is_not_launched_unseen() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Offer").await;
    let channel = desk.channel.to_string();
    desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, "One", "10:00", "11:00")).await;
    let seen = fingerprint_on(&desk.visit(&format!("{path}/edit")).await);
    let id = desk.number("SELECT id AS n FROM schedules");
    desk.fill_in(&format!("{path}/schedules/{id}"), &schedule(&channel, "Two", "10:00", "11:00")).await;
    let refused = desk.fill_in(&format!("{path}/launch"), &[("fingerprint", &seen)]).await;
    assert_eq!(refused.status, 422);
    shows(&refused, "It was not launched. The campaign was changed while you looked at it.");
    assert_eq!(desk.number("SELECT count(*) AS n FROM campaigns WHERE state = 'draft'"), 1);
    let seen = fingerprint_on(&refused);
    assert_eq!(desk.fill_in(&format!("{path}/launch"), &[("fingerprint", &seen)]).await.status, 303);
}

fn fingerprint_on(page: &Answer) -> String {
    let (_, rest) = page.html.split_once(r#"name="fingerprint" value=""#).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[actix_web::test]
async fn the_bar_says_in_a_line_what_a_launch_comes_to_or_what_is_missing() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Offer").await;
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, r##"<a href="#schedules">No schedules belong to this campaign. Add one first.</a>"##);
    let channel = desk.channel.to_string();
    desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, "Hi", "09:15", "09:17")).await;
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(
        &page,
        "<span>3 contacts</span><span>1 schedule</span><span>Mon 2 Mar 09:15 – ends 09:17, 1 contact not reached</span>",
    );
    let id = desk.number("SELECT id AS n FROM schedules");
    desk.fill_in(&format!("{path}/schedules/{id}"), &schedule(&channel, "Hi", "09:15", "09:30")).await;
    shows(&desk.visit(&format!("{path}/edit")).await, "<span>Mon 2 Mar 09:15 – done 09:17</span>");
    desk.at("2026-03-02 09:16");
    shows(&desk.visit(&format!("{path}/edit")).await, "<span>at once – done 09:17</span>");
}

#[actix_web::test]
async fn a_page_that_was_refused_begins_with_what_is_wrong() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Offer").await;
    let page = desk.fill_in(&format!("{path}/schedules"), &schedule("4711", "", "later", "25:00")).await;
    shows(&page, "There are 4 things to correct");
    shows(&page, r##"<a href="#channel">Channel: Choose a channel.</a>"##);
    shows(&page, r##"<a href="#start">Start: A time, such as 09:00.</a>"##);
    lacks(&desk.visit(&format!("{path}/edit")).await, "to correct");
    // The same for every form there is.
    let people =
        desk.fill_in("/settings/people", &[("name", ""), ("email", "x"), ("password", "y"), ("role", "viewer")]);
    shows(&people.await, r##"<a href="#email">"##);
}

#[actix_web::test]
async fn what_was_made_is_said_once() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let made = desk.fill_in(
        "/settings/people",
        &[("name", "Olga"), ("email", "olga@example.org"), ("password", "a long enough phrase"), ("role", "operator")],
    );
    let there = made.await.location.expect("made");
    lacks(&desk.peek("/campaigns").await, "Olga is added.");
    shows(&desk.visit(&there).await, r#"<p class="note good" id="said" role="status">Olga is added.</p>"#);
    lacks(&desk.visit(&there).await, "is added.");

    let path = draft(&desk, "Offer").await;
    let copy = desk.submit(&format!("{path}/duplicate")).await.location.unwrap();
    shows(&desk.visit(&copy).await, "This is the copy. Nothing is sent before you launch it.");
}

#[actix_web::test]
async fn the_text_is_measured_as_it_is_typed() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Offer").await;
    let campaign = path.rsplit('/').next().unwrap();
    let measure =
        async |body: &str| desk.fill_in_with_htmx("/wording/measure", &[("body", body), ("campaign", campaign)]).await;

    let short = measure("Hi #name").await;
    shows(&short, "1 SMS");
    shows(&short, "as the first contact gets it");
    shows(&short, r#"<span class="num">7</span> characters"#);
    lacks(&short, "<html");
    shows(&measure(&"x".repeat(161)).await, "2 SMS");
    shows(&measure("Ĝis").await, "“Ĝ” is not in the SMS alphabet");
    shows(&measure("Hi #nmae").await, "#nmae is no field of these contacts.");
    shows(&measure("Hi #phone").await, "no value for #phone");

    // The text is shown as a contact gets it, and one can step to the next.
    shows(&short, r#"<div class="bubble">Hi Anna</div>"#);
    let of = async |row: &str| {
        desk.fill_in_with_htmx("/wording/measure", &[("body", "Hi #name"), ("campaign", campaign), ("row", row)]).await
    };
    let second = of("2").await;
    shows(&second, r#"<div class="bubble">Hi Ben</div>"#);
    shows(&second, "as contact 2 gets it");
    shows(&of("3").await, "Contact 3 has no value for #name and would get nothing.");
    shows(&of("4").await, r#"<div class="bubble">Hi Anna</div>"#);
    let grouped = [("body", "Hi #name"), ("campaign", campaign), ("group", "galway")];
    assert_eq!(desk.fill_in(&format!("{path}/group"), &[("group_by", "city")]).await.status, 303);
    shows(&desk.fill_in_with_htmx("/wording/measure", &grouped).await, "The first contact has no value for #name");
}

#[actix_web::test]
async fn a_launched_campaign_can_be_renamed_and_no_more() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (id, _, _) = desk.campaign("Spring", 1, "09:00-10:00", 60.0).await;
    let path = format!("/campaigns/{id}");
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, r#"value="Spring""#);
    lacks(&page, r#"name="time_zone""#);
    desk.fill_in(&format!("{path}/edit"), &[("name", "Summer"), ("time_zone", "Europe/Dublin")]).await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM campaigns WHERE name = 'Summer' AND time_zone = 'UTC'"), 1);
    let file = desk.upload(&format!("{path}/file"), "people.csv", PEOPLE.as_bytes(), &[]).await;
    assert_eq!(file.status, 409);
    assert_eq!(desk.number("SELECT count(*) AS n FROM files"), 1, "nothing was stored for it");
    assert_eq!(desk.submit(&format!("{path}/discard")).await.status, 409);
    assert_eq!(desk.visit_as_stranger("/campaigns/new").await.status, 303);
}

// ---- kinds, groups, lists -----------------------------------------------------------

/// An empty draft of some kind.
async fn empty_draft(desk: &Desk, name: &str, kind: &str, zone: &str) -> String {
    let answer = desk.fill_in("/campaigns", &[("name", name), ("kind", kind), ("time_zone", zone)]).await;
    answer.location.unwrap_or_else(|| panic!("{}", answer.html)).strip_suffix("/edit").unwrap().to_owned()
}

/// A list kept by hand with these contacts.
fn list(desk: &Desk, name: &str, addresses: &[&str]) -> String {
    let (admin, now) = (desk.admin, desk.app.clock.now());
    desk.db(|conn| {
        let id = lists::store::insert(conn, name, Kind::Sms, None, admin, now).unwrap();
        let list = lists::store::find(conn, id).unwrap();
        let addresses: Vec<String> = addresses.iter().map(|it| (*it).to_owned()).collect();
        for address in &addresses {
            use diesel::prelude::*;
            diesel::sql_query("INSERT INTO contacts (kind, address) VALUES ('sms', $1) ON CONFLICT DO NOTHING")
                .bind::<diesel::sql_types::Text, _>(address)
                .execute(conn)
                .unwrap();
        }
        lists::store::add_addresses(conn, &list, &addresses, now).unwrap();
        id.to_string()
    })
}

fn count(desk: &Desk, what: &str) -> i64 {
    desk.number(&format!("SELECT count(*) AS n FROM {what}"))
}

#[actix_web::test]
async fn a_daily_campaign_keeps_the_columns_of_a_sample_and_has_no_date() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Arrears").await;
    desk.fill_in(&format!("{path}/edit"), &[("name", "Arrears"), ("kind", "daily"), ("time_zone", "UTC")]).await;
    let page = desk.visit(&format!("{path}/edit?schedule=new")).await;
    shows(&page, "Nobody in this one is sent to.");
    lacks(&page, r#"name="date""#);
    let channel = desk.channel.to_string();
    let answer =
        desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, "Hi #name|you#", "09:00", "17:00")).await;
    assert_eq!(answer.status, 303, "{}", answer.html);
    assert_eq!(count(&desk, "schedules WHERE run_date IS NULL AND recurrence IS NULL"), 1);
    // Shown for the next day on which the file can still come in time.
    shows(&desk.visit(&format!("{path}/edit")).await, "3 March 2026, 09:00 to 17:00 (UTC)");
    let unsaid = desk.submit(&format!("{path}/launch")).await;
    assert_eq!(unsaid.status, 422, "nobody has said when the file is expected");
    let plan = [("opens", "07:00"), ("closes", "12:00"), ("expected_name", "arrears.csv"), ("mon", "on")];
    assert_eq!(desk.fill_in(&format!("{path}/daily"), &plan).await.status, 303);
    assert_eq!(desk.submit(&format!("{path}/launch")).await.status, 303);
    assert_eq!(count(&desk, "schedule_runs"), 0, "it waits for the day's file");
}

#[actix_web::test]
async fn a_recurring_campaign_goes_to_lists_and_tells_its_next_five_runs() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = empty_draft(&desk, "Weekly", "recurring", "Europe/Dublin").await;
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, r#"href="/lists/new""#);
    shows(&page, "Choose the lists first.");
    lacks(&page, r#"type="file""#);

    let all = list(&desk, "Customers", &["12025550101", "12025550102", "12025550103"]);
    let some = list(&desk, "Do not disturb", &["12025550103"]);
    let both = [("include", all.as_str()), ("exclude", all.as_str())];
    let refused = desk.fill_in(&format!("{path}/lists"), &both).await;
    assert_eq!(refused.status, 422);
    shows(&refused, "“Customers” cannot be sent to and left out.");
    shows(&refused, &format!(r#"name="exclude" value="{all}" aria-label="Leave out Customers" checked"#));
    let nothing = desk.fill_in(&format!("{path}/lists"), &[("exclude", some.as_str())]).await;
    shows(&nothing, "Choose at least one list to send to.");

    let chosen = [("include", all.as_str()), ("exclude", some.as_str()), ("freeze", "launch")];
    let total = desk.fill_in_with_htmx(&format!("{path}/lists/count"), &chosen).await;
    shows(&total, "<b>2 contacts</b>");
    lacks(&total, "<html");
    let gone = [("include", all.as_str()), ("exclude", "999")];
    let total = desk.fill_in_with_htmx(&format!("{path}/lists/count"), &gone).await;
    shows(&total, "<b>3 contacts</b>");
    assert_eq!(desk.fill_in(&format!("{path}/lists"), &chosen).await.status, 303);
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, "<b>2 contacts</b>");
    shows(&page, r#"value="launch" checked"#);

    let channel = desk.channel.to_string();
    let mut plan: Vec<_> = schedule(&channel, "Hello", "09:00", "17:00").into();
    plan.extend([("repeat", "weekly"), ("mon", "on"), ("thu", "on"), ("missed", "skip"), ("overlap", "wait")]);
    let answer = desk.fill_in(&format!("{path}/schedules"), &plan).await;
    assert_eq!(answer.status, 303, "{}", answer.html);
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, "on Mon Thu at 09:00");
    for run in ["5 March 2026, 09:00", "9 March 2026, 09:00", "12 March", "16 March", "19 March"] {
        shows(&page, run);
    }
    assert_eq!(desk.submit(&format!("{path}/launch")).await.status, 303);
    assert_eq!(count(&desk, "campaign_audience"), 2, "frozen at the launch");
    assert_eq!(count(&desk, "schedules WHERE next_run_at = '2026-03-05 09:00+00'"), 1);
}

#[actix_web::test]
async fn a_once_off_campaign_may_go_to_lists_instead_of_a_file() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let all = list(&desk, "Customers", &["12025550101", "12025550102"]);
    let path = empty_draft(&desk, "Offer", "once_off", "UTC").await;
    desk.fill_in(&format!("{path}/lists"), &[("include", all.as_str())]).await;
    let channel = desk.channel.to_string();
    desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, "Hello", "09:10", "09:15")).await;
    assert_eq!(desk.submit(&format!("{path}/launch")).await.status, 303);
    desk.tick().await;
    desk.run_until("2026-03-02 09:12:01").await;
    assert_eq!(desk.received().len(), 2);
}

#[actix_web::test]
async fn the_kind_of_a_draft_can_be_changed_and_its_schedules_are_planned_anew() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Offer").await;
    let channel = desk.channel.to_string();
    desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, "Hi", "10:00", "11:00")).await;
    let wrong = [("name", "Offer"), ("kind", "sometimes"), ("time_zone", "UTC")];
    shows(&desk.fill_in(&format!("{path}/edit"), &wrong).await, "Choose one of these.");
    desk.fill_in(&format!("{path}/edit"), &[("name", "Offer"), ("kind", "daily"), ("time_zone", "UTC")]).await;
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, "was planned for another kind of campaign");
    let id = desk.number("SELECT id AS n FROM schedules");
    desk.fill_in(&format!("{path}/schedules/{id}"), &schedule(&channel, "Hi", "10:00", "11:00")).await;
    lacks(&desk.visit(&format!("{path}/edit")).await, "was planned for another kind of campaign");
}

#[actix_web::test]
async fn contacts_are_grouped_by_a_column_and_each_value_gets_its_schedule() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Offer").await;
    let unknown = desk.fill_in(&format!("{path}/group"), &[("group_by", "shoe size")]).await;
    assert_eq!(unknown.status, 422);
    shows(&unknown, "Choose a column of the file.");
    desk.fill_in(&format!("{path}/group"), &[("group_by", "city")]).await;
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, "2 rows have a value that no schedule serves: “Cork”, “Galway”. 1 row has nothing in #city.");
    shows(&page, &format!("{path}/edit?schedule=new&#38;group=Cork#schedule-form").replace("&#38;", "&amp;"));

    let page = desk.visit(&format!("{path}/edit?schedule=new&group=Cork")).await;
    shows(&page, r#"<option value="Cork" selected>Cork (1)</option>"#);
    let channel = desk.channel.to_string();
    let plan = schedule(&channel, "Hi", "10:00", "11:00");
    let none = desk.fill_in(&format!("{path}/schedules"), &plan).await;
    assert_eq!(none.status, 422);
    shows(&none, "Choose the group that it serves.");
    for (name, group) in [("One", "cork"), ("Two", "CORK")] {
        let mut plan: Vec<_> = plan.into();
        plan[0].1 = name;
        plan.push(("group", group));
        let answer = desk.fill_in(&format!("{path}/schedules"), &plan).await;
        assert_eq!(answer.status, 303, "{}", answer.html);
    }
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, "One, Two");
    shows(&page, "serve the same group at the same time");
    shows(&page, "1 row has a value that no schedule serves: “Galway”.");

    // Another file without the column: it cannot be launched like that.
    desk.upload(&format!("{path}/file"), "plain.csv", b"phone,name\n+12025550101,Anna\n", &[]).await;
    let file = desk.number("SELECT max(id) AS n FROM files");
    let mapping = [("use-0", "channel_id"), ("use-1", "data"), ("region", "everywhere")];
    desk.fill_in(&format!("/files/{file}/import"), &mapping).await;
    importer::tick(&desk.app).await.unwrap();
    shows(&desk.visit(&format!("{path}/edit")).await, "The file has no column “city”");
    desk.submit(&format!("{path}/file/remove")).await;
    assert_eq!(count(&desk, "campaigns WHERE group_by IS NOT NULL"), 0, "without a file there is nothing to group");
}

#[actix_web::test]
async fn the_next_five_instants_follow_what_is_typed_and_tell_of_clock_changes() {
    let desk = Desk::open_at("2026-03-27 12:00").await;
    let path = empty_draft(&desk, "Nightly", "recurring", "Europe/Berlin").await;
    let instants = async |fields: &[(&str, &str)]| {
        desk.fill_in_with_htmx(
            &format!("{path}/instants"),
            &[&[("missed", "ask"), ("overlap", "skip")], fields].concat(),
        )
        .await
    };
    let weekly = [("repeat", "weekly"), ("start", "02:30"), ("sat", "on"), ("sun", "on")];
    let page = instants(&weekly).await;
    lacks(&page, "<html");
    for told in [
        "Sat 28 Mar 2026, 02:30",
        "01:30 UTC",
        "Sun 29 Mar 2026, 03:00",
        "The clocks skip 02:30 on this day; it runs at 03:00.",
        "Sat 11 Apr 2026, 02:30",
        "00:30 UTC",
    ] {
        shows(&page, told);
    }
    assert_eq!(page.html.matches("<li>").count(), 5);
    shows(&instants(&[("repeat", "cron"), ("cron", "30 9 * * MON-FRI")]).await, "Mon 30 Mar 2026, 09:30");
    shows(&instants(&[("repeat", "cron"), ("cron", "30 9 * *")]).await, "Write five fields");
    shows(&instants(&[("repeat", "weekly"), ("start", "09:00")]).await, "Choose at least one day of the week.");
    let over = [weekly.as_slice(), &[("last_date", "2026-03-01")]].concat();
    shows(&instants(&over).await, "It would never run");
}

#[actix_web::test]
async fn what_is_folded_away_comes_back_as_it_was_typed() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Offer").await;
    let channel = desk.channel.to_string();
    let mut plan: Vec<_> = schedule(&channel, "Hi", "10:00", "11:00").into();
    plan.retain(|(field, _)| !["rate", "late"].contains(field));
    let more = [
        ("pace", "auto"),
        ("late", "keep_rate"),
        ("late_within", "45"),
        ("late_then", "ask"),
        ("local_from", "09:00"),
        ("local_to", "20:00"),
        ("canary_first", "100"),
        ("canary_minutes", "15"),
        ("canary_failed", "2.5"),
        ("busy", "wait"),
    ];
    plan.extend(more);
    let answer = desk.fill_in(&format!("{path}/schedules"), &plan).await;
    assert_eq!(answer.status, 303, "{}", answer.html);
    assert_eq!(count(&desk, "schedules WHERE rate IS NULL AND late_policy = 'keep_rate'"), 1);
    let id = desk.number("SELECT id AS n FROM schedules");
    let page = desk.visit(&format!("{path}/edit?schedule={id}")).await;
    for (field, value) in more {
        let typed = page.html.split(&format!(r#"name="{field}""#)).skip(1).any(|after| {
            let tag = after.split('>').next().unwrap();
            tag.contains(&format!(r#"value="{value}""#))
                && (!page.html.contains(&format!(r#"type="radio" name="{field}""#)) || tag.contains("checked"))
        });
        assert!(typed, "{field} is not {value} in:\n{}", page.html);
    }
    assert_eq!(page.html.matches(r#"<details class="fold" open>"#).count(), 2, "what is used is open");
    // The default follows the rate: nothing chosen is spread here and catches up there.
    plan.retain(|(field, _)| !["late", "pace"].contains(field));
    plan.push(("rate", "60"));
    desk.fill_in(&format!("{path}/schedules/{id}"), &plan).await;
    assert_eq!(count(&desk, "schedules WHERE rate = 60 AND late_policy = 'catch_up'"), 1);
    plan.push(("pace", "auto"));
    desk.fill_in(&format!("{path}/schedules/{id}"), &plan).await;
    assert_eq!(count(&desk, "schedules WHERE rate IS NULL AND late_policy = 'spread'"), 1);
}

#[actix_web::test]
async fn every_mistake_in_a_schedule_is_named_at_its_field() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let once = draft(&desk, "Offer").await;
    let recurring = empty_draft(&desk, "Weekly", "recurring", "UTC").await;
    let all = list(&desk, "Customers", &["12025550101"]);
    desk.fill_in(&format!("{recurring}/lists"), &[("include", all.as_str())]).await;
    let channel = desk.channel.to_string();
    let cases = [
        (&once, "late_within", "-1", "late_within-error"),
        (&once, "late_within", "soon", "late_within-error"),
        (&once, "local_from", "25:00", "local_from-error"),
        (&once, "local_to", "08:00", "local_from-error"),
        (&once, "canary_first", "0", "canary_first-error"),
        (&once, "busy", "maybe", "busy-error"),
        (&once, "late", "never", "late-error"),
        (&once, "rate", "0", "rate-error"),
        (&once, "rate", "-5", "rate-error"),
        (&once, "rate", "NaN", "rate-error"),
        (&once, "date", "2026-02-30", "date-error"),
        (&recurring, "cron", "61 * * * *", "cron-error"),
        (&recurring, "last_date", "2026-03-01", "last_date-error"),
        (&recurring, "missed", "perhaps", "missed-error"),
        (&recurring, "missed_minutes", "0", "missed_minutes-error"),
        (&recurring, "overlap", "both", "overlap-error"),
        (&recurring, "mon", "", "mon-error"),
    ];
    for (path, field, value, error) in cases {
        let mut plan: std::collections::BTreeMap<_, _> =
            schedule(&channel, "Hi", "10:00", "11:00").into_iter().collect();
        plan.extend([("missed", "late"), ("missed_minutes", "60"), ("overlap", "skip"), ("mon", "on")]);
        if field == "cron" {
            plan.insert("repeat", "cron");
        }
        plan.insert(field, value);
        let plan: Vec<_> = plan.into_iter().collect();
        let page = desk.fill_in(&format!("{path}/schedules"), &plan).await;
        assert_eq!(page.status, 422, "{field}: {value}");
        assert!(page.html.contains(&format!(r#"id="{error}""#)), "no {error} in:\n{}", page.html);
        if !value.is_empty() && !["late", "busy", "missed", "overlap"].contains(&field) {
            shows(&page, &format!(r#"value="{value}""#));
        }
    }
    assert_eq!(count(&desk, "schedules"), 0);
}

#[actix_web::test]
async fn a_campaign_may_have_quiet_hours_of_its_own() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let path = draft(&desk, "Offer").await;
    let quiet = format!("{path}/quiet");
    let wrong = desk.fill_in(&quiet, &[("quiet", "own"), ("quiet_from", "12:00"), ("quiet_to", "noon")]).await;
    assert_eq!(wrong.status, 422);
    shows(&wrong, "quiet_to-error");
    shows(&wrong, r#"value="12:00""#);
    desk.fill_in(&quiet, &[("quiet", "own"), ("quiet_from", "12:00"), ("quiet_to", "13:00")]).await;
    let page = desk.visit(&format!("{path}/edit")).await;
    shows(&page, "Quiet hours: 12:00–13:00, its own; blackout dates do not apply");
}
