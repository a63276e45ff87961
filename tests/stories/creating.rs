//! From a name to a launch.

use bugle::engine::importer;
use bugle::ids::CampaignId;

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
    shows(&page, r#"<button class="button primary" disabled>Launch</button>"#);

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
    assert_eq!(answer.location, Some(format!("/campaigns?open={id}")));
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
    shows(&page, r#"<p class="note bad" role="alert">"#);
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
    shows(&desk.visit(&format!("{path}/edit?schedule=new")).await, "Offers (WhatsApp, from Shop)");
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
    // Until it is imported the review asks again by itself.
    shows(&page, &format!(r#"hx-get="{path}/review" hx-trigger="every 2s""#));
    let part = desk.peek(&format!("{path}/review")).await;
    shows(&part, "The file is not imported yet.");
    lacks(&part, "<html");
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
    shows(&measure("Hi #nmae").await, "#nmae is no field of the file.");
    shows(&measure("Hi #phone").await, "no value for #phone");
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
