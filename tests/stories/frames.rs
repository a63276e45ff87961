//! The frame around every page: where one is, the way back, and what is kept of it when something goes wrong.

use bugle::access::Role;

use crate::desk::Desk;

#[actix_web::test]
async fn what_goes_wrong_is_told_in_the_frame_of_whoever_is_signed_in() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let framed = |html: &str| html.contains("<nav class=\"rail\"");
    for path in ["/nothing", "/runs/999", "/campaigns/999/edit", "/calendar/1066-10-14"] {
        let answer = desk.visit(path).await;
        assert_eq!((answer.status, framed(&answer.html)), (404, true), "{path}");
        answer.shows("<h2>Not found</h2>");
        let stranger = desk.visit_as_stranger(path).await;
        assert!(!framed(&stranger.html), "{path}");
    }
    desk.visit("/runs/999").await.shows("href=\"/campaigns\" data-icon=\"campaigns\" aria-current=\"page\"");
    // What htmx asked for keeps the short form.
    let part = desk.peek("/runs/999").await;
    assert!(!framed(&part.html) && part.html.contains("id=\"problem\""), "{}", part.html);

    let (campaign, ..) = desk.campaign("Spring", 2, "09:00-10:00", 60.0).await;
    desk.submit(&format!("/campaigns/{campaign}/stop")).await;
    let refused = desk.submit(&format!("/campaigns/{campaign}/pause")).await;
    assert_eq!((refused.status, framed(&refused.html)), (409, true));
    let unreadable = desk.visit("/campaigns?open=everything").await;
    assert_eq!((unreadable.status, framed(&unreadable.html)), (422, true));
    desk.gives_the_admin_the_role(Role::Viewer);
    let forbidden = desk.visit("/settings/people").await;
    assert_eq!((forbidden.status, framed(&forbidden.html)), (403, true));
    forbidden.shows("You may not do this");
}

#[actix_web::test]
async fn a_page_below_another_has_a_way_back() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, run) = desk.campaign("Spring", 2, "09:00-10:00", 60.0).await;
    desk.press(&format!("/campaigns/{campaign}/pause")).await;
    let campaigns = "<a href=\"/campaigns\">Campaigns</a>";
    for path in [
        format!("/runs/{run}"),
        format!("/runs/{run}/rest"),
        format!("/campaigns/{campaign}/resume"),
        format!("/schedules/{schedule}/stop"),
        "/stop".to_owned(),
        "/campaigns/new".to_owned(),
    ] {
        let page = desk.visit(&path).await;
        let trail =
            page.html.split("aria-label=\"Breadcrumb\">").nth(1).unwrap_or_else(|| panic!("{path}: {}", page.html));
        assert!(trail.split("</nav>").next().unwrap().contains(campaigns), "{path}");
        page.shows("data-icon=\"campaigns\" aria-current=\"page\"");
    }
    desk.visit(&format!("/runs/{run}")).await.shows(&format!("<a href=\"/campaigns?open={campaign}\">Spring</a>"));
    let file = desk.number("SELECT max(id) AS n FROM files");
    let rows = desk.visit(&format!("/files/{file}/rows")).await;
    rows.shows("<a href=\"/files\">Files</a> <a href=\"/files/");
    rows.shows("data-icon=\"contacts\" aria-current=\"page\"");
}
