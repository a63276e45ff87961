//! Whoever knocks: bugs, slow bodies, slow questions and many of them keep nobody else out.

use actix_web::HttpResponse;
use actix_web::cookie::Key;
use actix_web::test::{self, TestRequest};
use actix_web::web::{self, Data};
use bugle::app::App;
use bugle::config::Settings;
use bugle::server;

use crate::desk::Desk;

/// The same house, set up otherwise.
fn with(desk: &Desk, settings: Settings) -> Data<App> {
    Data::new(App { settings, ..desk.app.get_ref().clone() })
}

async fn bug() -> HttpResponse {
    panic!("a bug in a handler")
}

#[actix_web::test]
async fn a_bug_in_a_handler_is_a_page_of_ours() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let house = with(&desk, Settings { pages: false, ..Settings::default() });
    let service = test::init_service(server::app(house, Key::from(&[7; 64])).route("/bug", web::get().to(bug))).await;

    for _ in 0..2 {
        let answer = test::try_call_service(&service, TestRequest::get().uri("/bug").to_request()).await;
        let answer =
            answer.map_or_else(|error| error.error_response(), |answer| answer.into_parts().1.map_into_boxed_body());
        assert_eq!(answer.status().as_u16(), 500);
        assert!(answer.headers().contains_key("content-security-policy"));
        let page = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
        assert!(String::from_utf8_lossy(&page).contains("Something went wrong"));
    }
    let answer = test::call_service(&service, TestRequest::get().uri("/healthz").to_request()).await;
    assert_eq!(answer.status().as_u16(), 200);
}

/// A bot with a condition about a day, as somebody exported it.
fn with_a_day(day: &str) -> String {
    let steps = serde_json::json!([
        {"id": "ask", "name": "Ask", "do": "ask", "text": "When?", "otherwise": "bye",
         "accept": {"kind": "entity", "entity": "date"},
         "routes": [{"op": "before", "value": day, "to": "bye"}]},
        {"id": "bye", "name": "Bye", "do": "close", "text": "Goodbye"}]);
    serde_json::json!({"bugle_bot": 1, "name": "Day", "steps": steps}).to_string()
}

#[actix_web::test]
async fn a_typographic_dash_in_a_condition_leaves_the_editor_open() {
    let desk = Desk::open_at("2026-03-02 09:00").await;

    let made = desk.upload("/bots/import", "bot.json", with_a_day("today–3").as_bytes(), &[("name", "Dash")]).await;
    let path = made.location.unwrap_or_else(|| panic!("{}", made.html));
    desk.visit(&path).await.shows("Nothing is wrong with this bot.");
    let published = desk.fill_in(&format!("{path}/publish"), &[("revision", "1"), ("note", "")]).await;
    assert_eq!(published.status, 303, "{}", published.html);

    // What is no day says so at its step, and stays open to be put right.
    let made = desk.upload("/bots/import", "bot.json", with_a_day("today·3").as_bytes(), &[("name", "Dot")]).await;
    let path = made.location.unwrap();
    desk.visit(&path).await.shows("Write a day as 2026-03-31, today, today+3 or today-30.");
    assert_eq!(desk.fill_in(&format!("{path}/publish"), &[("revision", "1"), ("note", "")]).await.status, 409);
}
