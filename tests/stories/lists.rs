//! Saved lists: how they are made, who is on them, and the audiences they make together.

use bugle::access::Role;
use bugle::ids::{CampaignId, ListId, RunId};
use bugle::lists::actions;
use bugle::lists::domain::{Condition, Filter, FilterOp, Join};
use bugle::lists::store::{self, AudienceTarget};
use bugle::providers::Kind;

use crate::desk::Desk;

impl Desk {
    fn list(&self, name: &str, addresses: &[&str]) -> ListId {
        let (admin, now) = (self.admin, self.app.clock.now());
        let addresses: Vec<String> = addresses.iter().map(|it| (*it).to_owned()).collect();
        self.db(|conn| actions::create(conn, name, Kind::Sms, &addresses, admin, now).unwrap())
    }

    fn filter(&self, name: &str, join: Join, conditions: &[(&str, &str, &str)]) -> ListId {
        let conditions = conditions.iter().map(|(field, op, value)| Condition::parse(field, op, value).unwrap());
        let filter = Filter { join, conditions: conditions.collect() };
        let (admin, now) = (self.admin, self.app.clock.now());
        self.db(|conn| actions::create_filter(conn, name, Kind::Sms, &filter, admin, now).unwrap())
    }

    /// Last digits of whoever is in one of `include` and none of `exclude`.
    fn audience(&self, include: &[ListId], exclude: &[ListId]) -> String {
        self.sql("DELETE FROM campaign_audience");
        let into = AudienceTarget::Campaign(CampaignId(1));
        let (counted, n) = self.db(|conn| {
            let counted = store::count_audience(conn, include, exclude, Kind::Sms).unwrap();
            (counted, store::insert_audience(conn, include, exclude, Kind::Sms, into).unwrap())
        });
        assert_eq!(counted, n as i64, "counted and written");
        let who =
            "SELECT right(address, 1) AS line FROM campaign_audience JOIN contacts c ON c.id = contact_id ORDER BY 1";
        self.lines(who).concat()
    }

    fn members(&self, id: i64) -> Vec<String> {
        self.lines(&format!(
            "SELECT address AS line FROM list_members JOIN contacts c ON c.id = contact_id WHERE list_id = {id} ORDER BY 1"
        ))
    }
}

/// Five people; the last has nothing but a number.
const PEOPLE: &str = "Phone,Customer,city,balance,due\n\
    0861234501,AB-1,Cork,\"1,000.50\",2026-03-01\n\
    0861234502,AB-2,cork,999,2026-03-31\n\
    0861234503,CD-3,Corkscrew,-5,2026-04-01T09:00\n\
    0861234504,,Sligo,none,soon\n\
    0861234505,,,,\n";

#[actix_web::test]
async fn each_way_to_compare_finds_whom_it_says() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv(PEOPLE).await;
    desk.sql(
        "INSERT INTO contacts (kind, address, \"values\") VALUES ('viber', '353861234509', '{\"city\": \"Cork\"}')",
    );
    let cases = [
        (("value:city", "is", "CORK"), "12"),
        (("value:city", "is_not", "Cork"), "345"),
        (("value:city", "contains", "ork"), "123"),
        (("value:city", "starts_with", "cork"), "123"),
        (("value:city", "is_empty", ""), "5"),
        (("value:city", "is_not_empty", ""), "1234"),
        (("value:balance", "greater_than", "999"), "1"),
        (("value:balance", "less_than", "1,000"), "23"),
        (("value:due", "before", "2026-03-31"), "1"),
        (("value:due", "after", "2026-03-31"), "3"),
        (("value:nobody has it", "is", "x"), ""),
        (("value:nobody has it", "is_not", "x"), "12345"),
        (("customer_id", "starts_with", "ab-"), "12"),
        (("customer_id", "is_empty", ""), "45"),
        (("address", "is", "+353 86 123 4503"), "3"),
        (("address", "starts_with", "+353 86"), "12345"),
        // What people type is never read as SQL, nor as a pattern.
        (("value:city", "contains", "%"), ""),
        (("value:x' ->> 'city", "is_not", "'); DROP TABLE contacts; --"), "12345"),
    ];
    for (i, (condition, who)) in cases.into_iter().enumerate() {
        let list = desk.filter(&format!("{i}"), Join::All, &[condition]);
        assert_eq!(desk.audience(&[list], &[]), who, "{condition:?}");
    }
    for op in FilterOp::ALL {
        assert!(cases.iter().any(|((_, word, _), _)| *word == op.word()), "{op:?} has no case");
    }
}

#[actix_web::test]
async fn a_value_that_postgres_takes_for_no_number_is_compared_with_none() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    for (n, value) in ["7", " \t7 ", "\u{3000}7", "7\u{2003}", "\u{a0}7", "\u{ff17}", "\u{667}"].iter().enumerate() {
        let values = serde_json::json!({ "balance": value, "due": format!("{value}026-04-01") });
        desk.sql(&format!(
            "INSERT INTO contacts (kind, address, \"values\") VALUES ('sms', '35386123450{n}', '{values}')"
        ));
    }
    let list = |name: &str, field: &str, op: &str, value: &str| desk.filter(name, Join::All, &[(field, op, value)]);
    assert_eq!(desk.audience(&[list("numbers", "value:balance", "greater_than", "5")], &[]), "01");
    assert_eq!(desk.audience(&[list("days", "value:due", "after", "2026-03-31")], &[]), "0");
}

#[actix_web::test]
async fn conditions_hold_all_or_any() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv(PEOPLE).await;
    let two = [("value:city", "is", "Cork"), ("value:balance", "less_than", "0")];
    let (all, any) = (desk.filter("all", Join::All, &two), desk.filter("any", Join::Any, &two));
    assert_eq!(desk.audience(&[all], &[]), "");
    assert_eq!(desk.audience(&[any], &[]), "123");
}

#[actix_web::test]
async fn an_audience_is_in_one_list_and_in_none_of_the_others_once_each() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv(PEOPLE).await;
    let vip = desk.list("VIP", &["353861234501", "353861234504", "353861234505"]);
    let staff = desk.list("Staff", &["353861234505"]);
    let cork = desk.filter("Cork", Join::All, &[("value:city", "contains", "cork")]);
    let debtors = desk.filter("Debtors", Join::All, &[("value:balance", "greater_than", "998")]);
    let cases: [(&[ListId], &[ListId], &str); 8] = [
        (&[vip], &[], "145"),
        (&[vip, staff], &[], "145"),
        (&[vip, cork], &[], "12345"),
        (&[vip, cork], &[staff], "1234"),
        (&[vip, cork], &[staff, debtors], "34"),
        (&[cork], &[vip], "23"),
        (&[vip], &[vip], ""),
        (&[], &[staff], ""),
    ];
    for (include, exclude, who) in cases {
        assert_eq!(desk.audience(include, exclude), who, "{include:?} without {exclude:?}");
    }
    desk.db(|conn| {
        assert_eq!(store::count_audience(conn, &[vip, cork], &[], Kind::Viber), Ok(0));
        assert!(store::count_audience(conn, &[ListId(4711)], &[], Kind::Sms).is_err(), "no such list");
    });
}

#[actix_web::test]
async fn an_audience_becomes_the_deliveries_of_a_run() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    desk.import_csv(PEOPLE).await;
    let (_, _, run) = desk.campaign("Spring", 1, "09:00-10:00", 60.0).await;
    desk.sql("DELETE FROM deliveries");
    let vip = desk.list("VIP", &["353861234504", "353861234501"]);
    let into = AudienceTarget::Run(RunId(run.0));
    assert_eq!(desk.db(|conn| store::insert_audience(conn, &[vip], &[], Kind::Sms, into)), Ok(2));
    assert_eq!(
        desk.lines("SELECT concat_ws(' ', seq, address, coalesce(customer_id, '-'), \"values\" ->> 'city') AS line FROM deliveries ORDER BY seq"),
        ["1 353861234501 AB-1 Cork", "2 353861234504 - Sligo"]
    );
    desk.sql("UPDATE schedule_runs SET last_seq = 2");
}

#[actix_web::test]
async fn a_list_is_pasted_and_bad_numbers_are_named() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let typed = "086 123 4567, 086 123 4568\n07911 1\n0861234567";
    let checked = desk.upload("/lists/check", "", b"", &[("kind", "sms"), ("region", "IE"), ("text", typed)]).await;
    checked.shows("2 addresses good, 1 there again, 1 left out.");
    checked.shows("07911 1 is not a phone number in Ireland.");
    let many = "0861234567\n".repeat(6000);
    let checked = desk.upload("/lists/check", "", b"", &[("kind", "sms"), ("region", "IE"), ("text", &many)]).await;
    checked.shows("Too many to check while typing");
    assert_eq!(desk.number("SELECT count(*) AS n FROM lists"), 0);

    let form = [("name", "VIP"), ("kind", "sms"), ("region", "IE"), ("text", typed)];
    let made = desk.upload("/lists", "", b"", &form).await;
    assert_eq!(made.location.as_deref(), Some("/lists/1"), "a reload must not hand it in again");
    let page = desk.lands(made).await;
    page.shows("2 addresses added, 1 there again, 1 left out.");
    page.shows("07911 1 is not a phone number in Ireland.");
    page.shows("07911 1</textarea>");
    assert_eq!(desk.members(1), ["353861234567", "353861234568"]);
    let again = desk.visit("/lists/1").await;
    again.lacks("2 addresses added");
    again.lacks("07911 1");

    let again = desk.upload("/lists/1/add", "", b"", &[("region", "IE"), ("text", "0861234568 ; 0861234569")]).await;
    assert_eq!(again.location.as_deref(), Some("/lists/1"));
    assert_eq!(desk.members(1).len(), 3);
    let nothing = desk.upload("/lists/1/add", "", b"", &[("region", "IE"), ("text", "hello")]).await;
    assert_eq!(nothing.status, 422);
    nothing.shows("hello</textarea>");
    nothing.shows("hello is not a phone number.");

    let journal =
        "SELECT concat_ws(' ', happened, became, why) AS line FROM journal WHERE happened LIKE 'list.%' ORDER BY id";
    assert_eq!(desk.lines(journal), ["list.created VIP", "list.members_added 2", "list.members_added 1"]);
}

#[actix_web::test]
async fn a_list_that_cannot_be_made_comes_back_as_it_was_typed() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.list("VIP", &[]);
    for (name, text, says) in [
        ("", "0861234567", "Give it a name."),
        ("vip", "0861234567", "Another list is called “vip”."),
        ("New", "", "Paste at least one good address"),
        ("New", "07911 1", "07911 1 is not a phone number in Ireland."),
    ] {
        let form = [("name", name), ("kind", "sms"), ("region", "IE"), ("text", text)];
        let page = desk.upload("/lists", "", b"", &form).await;
        assert_eq!(page.status, 422, "{name} {text}");
        page.shows(says);
        page.shows(&format!("{text}</textarea>"));
        page.shows(&format!(r#"name="name" type="text" value="{name}""#));
    }
    assert_eq!(desk.number("SELECT count(*) AS n FROM lists"), 1);
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts"), 0, "contacts of a list that is none");
}

#[actix_web::test]
async fn a_list_is_made_of_an_imported_file() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.visit("/lists/new/file").await.shows("No file is imported yet");
    desk.import_csv(PEOPLE).await;
    desk.visit("/files/1").await.shows("/lists/new/file?file=1");
    let page = desk.visit("/lists/new/file?file=1").await;
    page.shows(r#"<option value="1" selected>people.csv – 5 contacts of SMS"#);
    let page = desk.fill_in("/lists/new/file", &[("name", "March"), ("file", "1")]).await;
    assert_eq!(page.location.as_deref(), Some("/lists/1"));
    assert_eq!(desk.members(1).len(), 5);
    assert_eq!(desk.fill_in("/lists/new/file", &[("name", ""), ("file", "")]).await.status, 422);

    desk.upload("/files", "raw.csv", b"Phone\n0861234567\n", &[]).await;
    let page = desk.fill_in("/lists/new/file", &[("name", "Raw"), ("file", "2")]).await;
    assert_eq!(page.status, 422);
    page.shows("This file is not imported");
}

#[actix_web::test]
async fn a_filter_is_put_together_without_scripts() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv(PEOPLE).await;
    desk.visit("/lists/new/filter").await.shows(r#"<option value="value:city">city</option>"#);
    let first = [
        ("name", "Cork"),
        ("kind", "sms"),
        ("join", "any"),
        ("field-0", "value:city"),
        ("op-0", "contains"),
        ("value-0", "cork"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&first[..], more].concat();

    let page = desk.fill_in("/lists/new/filter", &with(&[("do", "add")])).await;
    assert_eq!(page.status, 200);
    page.shows(r#"name="value-1""#);
    page.shows(r#"value="cork""#);
    let two = with(&[("field-1", "value:balance"), ("op-1", "less_than"), ("value-1", "much")]);
    let page = desk.fill_in("/lists/new/filter", &[&two[..], &[("do", "save")]].concat()).await;
    assert_eq!(page.status, 422);
    page.shows("Write a number, such as 100 or 12.50.");
    page.shows(r#"value="much""#);
    let page = desk.fill_in("/lists/new/filter", &[&two[..], &[("do", "remove-1")]].concat()).await;
    page.lacks(r#"name="value-1""#);
    let page = desk.fill_in("/lists/new/filter", &[("name", "Cork"), ("kind", "sms"), ("do", "save")]).await;
    page.shows(r#"<small class="error" id="conditions-error">Add a condition."#);
    page.shows(r#"value="add" aria-describedby="conditions-error""#);
    desk.fill_in("/lists/new/filter", &with(&[("do", "count")])).await.shows("3 contacts of SMS match now.");
    desk.fill_in_with_htmx("/lists/preview", &first).await.shows("3 contacts of SMS match now.");
    desk.fill_in_with_htmx("/lists/preview", &two).await.shows("Complete the conditions");

    let made = desk.fill_in("/lists/new/filter", &with(&[("do", "save")])).await;
    assert_eq!(made.location.as_deref(), Some("/lists/1"));
    let page = desk.visit("/lists/1").await;
    page.shows("city contains “cork”");
    page.shows("353861234503");
    page.lacks("353861234504");
    desk.peek("/lists/1/count").await.shows("3 contacts");
    desk.visit("/lists/1/filter").await.shows(r#"<option value="contains" selected>"#);

    let changed = [("field-0", "value:city"), ("op-0", "is"), ("value-0", "Sligo"), ("do", "save")];
    let answer = desk.fill_in_with_htmx("/lists/1/filter", &changed).await;
    assert_eq!(answer.headers.get("hx-redirect").unwrap(), "/lists/1");
    desk.visit("/lists/1").await.shows("353861234504");
    let journal = "SELECT was || ' / ' || became AS line FROM journal WHERE happened = 'list.filter_changed'";
    assert_eq!(desk.lines(journal), ["city contains “cork” / city is “Sligo”"]);
    assert_eq!(desk.upload("/lists/1/add", "", b"", &[("region", "IE"), ("text", "0861234501")]).await.status, 409);
}

#[actix_web::test]
async fn members_are_searched_removed_and_go_out() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv(PEOPLE).await;
    let list = desk.list("VIP", &["353861234501", "353861234502", "353861234504"]);
    let path = format!("/lists/{list}");
    desk.visit("/lists").await.shows("3 contacts");
    let page = desk.visit(&format!("{path}?q=ab-2")).await;
    page.shows(">353861234502</a>");
    page.lacks(">353861234501</a>");
    desk.visit(&format!("{path}?q=%2B353+86+123+4504")).await.shows(">353861234504</a>");
    desk.visit(&format!("{path}?q=353861234503")).await.shows("Nobody found");

    let remove = format!("{path}/members/{}/remove?q=ab", desk.contact("353861234501"));
    assert_eq!(desk.submit(&remove).await.location, Some(format!("{path}?q=ab")));
    assert_eq!(desk.members(list.0), ["353861234502", "353861234504"]);
    desk.history("353861234502").await.shows(">VIP</a>");
    desk.history("353861234501").await.lacks(">VIP</a>");
    assert_eq!(
        desk.visit(&format!("{path}/members.csv")).await.html.lines().collect::<Vec<_>>(),
        [
            "\u{feff}address,customer id,Customer,balance,city,due",
            "'+353861234502,AB-2,AB-2,999,cork,2026-03-31",
            "'+353861234504,,,none,Sligo,soon",
        ]
    );
}

#[actix_web::test]
async fn members_come_page_by_page() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let numbers: Vec<String> = (0..60).map(|i| format!("35386{:07}", 1_000_000 + i)).collect();
    let list = desk.list("Many", &numbers.iter().map(String::as_str).collect::<Vec<_>>());
    let first = desk.visit(&format!("/lists/{list}")).await;
    first.shows("60 contacts");
    first.lacks(">353861000059</a>");
    let after = first.html.split("after=").nth(1).unwrap().split('"').next().unwrap();
    desk.visit(&format!("/lists/{list}?after={after}")).await.shows(">353861000059</a>");
    for nonsense in ["", "x"] {
        desk.visit(&format!("/lists/{list}?after={nonsense}")).await.shows(">353861000000</a>");
    }
}

#[actix_web::test]
async fn a_list_is_renamed_and_deleted_unless_it_is_used() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (vip, other) = (desk.list("VIP", &["353861234567"]), desk.list("Other", &[]));
    let path = format!("/lists/{vip}");
    let page = desk.fill_in(&format!("{path}/rename"), &[("name", " OTHER ")]).await;
    assert_eq!(page.status, 422);
    page.shows("Another list is called “OTHER”.");
    page.shows(r#"value=" OTHER ""#);
    assert_eq!(desk.fill_in(&format!("{path}/rename"), &[("name", "Best")]).await.status, 303);
    desk.visit("/lists").await.shows(">Best</a>");
    let page = desk.visit(&path).await;
    let details = page.html.split("<details class=\"card\">").nth(1).expect("asked before it acts");
    assert!(details.contains(&format!("action=\"{path}/delete\"")), "{details}");
    page.shows("Yes, delete “Best”");

    // Whatever uses a list refers to it so.
    desk.sql("CREATE TABLE uses (list_id bigint REFERENCES lists)");
    desk.sql(&format!("INSERT INTO uses VALUES ({vip})"));
    let page = desk.submit(&format!("{path}/delete")).await;
    assert_eq!(page.status, 409);
    page.shows("A campaign uses this list.");
    page.shows(">353861234567</a>");

    assert_eq!(desk.submit(&format!("/lists/{other}/delete")).await.location.as_deref(), Some("/lists"));
    desk.sql("DROP TABLE uses");
    assert_eq!(desk.submit(&format!("{path}/delete")).await.status, 303);
    assert_eq!(desk.number("SELECT count(*) AS n FROM list_members"), 0);
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts"), 1);
    assert_eq!(desk.visit(&path).await.status, 404);
}

#[actix_web::test]
async fn looking_making_and_deleting_need_rising_rights() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let list = desk.list("VIP", &["353861234567"]);
    let filter = desk.filter("All", Join::All, &[("address", "is_not_empty", "")]);
    desk.gives_the_admin_the_role(Role::Operator);
    let page = desk.visit(&format!("/lists/{list}")).await;
    page.shows("Rename");
    page.lacks("/delete");
    assert_eq!(desk.submit(&format!("/lists/{list}/delete")).await.status, 403);
    desk.visit(&format!("/lists/{filter}")).await.lacks("Edit the filter");
    assert_eq!(desk.visit(&format!("/lists/{filter}/filter")).await.status, 403);
    assert_eq!(desk.fill_in(&format!("/lists/{filter}/filter"), &[("do", "save")]).await.status, 403);

    desk.gives_the_admin_the_role(Role::Viewer);
    assert_eq!(desk.visit(&format!("/lists/{list}/members.csv")).await.status, 403);
    for path in ["/lists".to_owned(), format!("/lists/{list}"), format!("/lists/{filter}")] {
        let page = desk.visit(&path).await;
        assert_eq!(page.status, 200, "{path}");
        page.lacks("method=\"post\" action=\"/lists");
    }
    for path in ["/lists/new", "/lists/new/file", "/lists/new/filter"] {
        assert_eq!(desk.visit(path).await.status, 403, "{path}");
    }
    let member = desk.contact("353861234567");
    for path in [
        format!("/lists/{list}/rename"),
        format!("/lists/{list}/members/{member}/remove"),
        format!("/lists/{filter}/filter"),
        "/lists/preview".into(),
    ] {
        assert_eq!(desk.fill_in(&path, &[("name", "X")]).await.status, 403, "{path}");
    }
    assert_eq!(desk.upload("/lists", "", b"", &[("name", "X"), ("text", "353861234567")]).await.status, 403);
}

#[actix_web::test]
async fn pasted_numbers_with_two_readings_wait_for_a_choice() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let form = [("name", "Potsdam"), ("kind", "sms"), ("region", "DE"), ("text", "49331123456, 0331 123457")];
    let checked = desk.upload("/lists/check", "", b"", &form).await;
    checked.shows("1 number could be read two ways and was left out.");
    checked.shows("<b class=\"num\">+49 4933 1123456</b> as dialled inside the country");
    checked.shows(r#"name="two_ways" value="leave_out" checked"#);

    // What was not chosen is left out, and stands in the field again with the choice.
    let made = desk.upload("/lists", "", b"", &form).await;
    let page = desk.visit(&made.location.unwrap()).await;
    page.shows("1 address added, 1 left out");
    page.shows(r#"name="two_ways" value="inside""#);
    page.shows("\n49331123456</textarea>");
    let list = desk.number("SELECT id AS n FROM lists");
    let again = [("text", "49331123456"), ("region", "DE"), ("two_ways", "inside")];
    assert_eq!(desk.upload(&format!("/lists/{list}/add"), "", b"", &again).await.status, 303);
    let members = "SELECT address AS line FROM contacts JOIN list_members ON contact_id = contacts.id ORDER BY 1";
    assert_eq!(desk.lines(members), ["49331123457", "4949331123456"]);
}
