//! The sandbox's phones, and the channels that reach them.

use super::desk::Desk;

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
