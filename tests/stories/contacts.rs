//! Who is known, what was ever sent to them and why not, and whom nobody may write to.

use bugle::access::Role;
use bugle::contacts::domain::Known;
use bugle::contacts::search::{self, ContactSearch};
use bugle::contacts::store;
use bugle::engine::importer;
use bugle::files::import;
use bugle::ids::{ContactId, FileId};
use bugle::pacing::LatePolicy;
use bugle::providers::Kind;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::desk::{Answer, Desk, phones};

impl Desk {
    /// Imports a CSV whose columns are the phone, the customer ID, and data.
    pub async fn import_csv(&self, text: &str) {
        let uploaded = self.upload("/files", "people.csv", text.as_bytes(), &[]).await;
        let file = uploaded.location.expect("uploaded");
        let n_columns = text.lines().next().unwrap().split(',').count();
        let names: Vec<String> = (0..n_columns).map(|i| format!("use-{i}")).collect();
        let uses = ["channel_id", "customer_id"].into_iter().chain(std::iter::repeat("data"));
        let form: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(uses).chain([("region", "IE")]).collect();
        assert_eq!(self.fill_in(&format!("{file}/import"), &form).await.status, 303);
        assert_eq!(importer::tick(&self.app).await.unwrap(), 1);
    }

    /// The first column of a query, called `line`.
    pub fn lines(&self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text)]
            line: String,
        }
        self.db(|conn| diesel::sql_query(sql).load::<Line>(conn).unwrap()).into_iter().map(|it| it.line).collect()
    }

    fn known(&self) -> Vec<String> {
        self.lines("SELECT concat_ws(' ', address, coalesce(customer_id, '-'), \"values\") AS line FROM contacts ORDER BY address")
    }

    pub fn contact(&self, address: &str) -> i64 {
        self.number(&format!("SELECT id AS n FROM contacts WHERE address = '{address}'"))
    }

    pub async fn history(&self, address: &str) -> Answer {
        let page = self.visit(&format!("/contacts/{}", self.contact(address))).await;
        assert_eq!(page.status, 200);
        page
    }
}

#[actix_web::test]
async fn a_field_is_one_field_however_files_spell_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv("Phone,Customer,First name\n0861234567,1,Anna\n").await;
    desk.import_csv("Phone,CUSTOMER,FIRST NAME,City\n0861234567,1,Ben,Cork\n0861234568,2,Cid,Sligo\n").await;
    assert_eq!(
        desk.known(),
        [
            r#"353861234567 1 {"City": "Cork", "Customer": "1", "First name": "Ben"}"#,
            r#"353861234568 2 {"City": "Sligo", "Customer": "2", "First name": "Cid"}"#,
        ]
    );
    // What a person adds goes there, too.
    let id = desk.contact("353861234568");
    let known = Known {
        values: [("city".into(), "Bray".into()), ("First name".into(), "Cid".into())].into(),
        customer_id: None,
    };
    desk.db(|conn| store::save_known(conn, ContactId(id), &known).unwrap());
    assert_eq!(desk.known()[1], r#"353861234568 - {"City": "Bray", "First name": "Cid"}"#);
}

#[actix_web::test]
async fn of_each_field_the_newest_value_that_a_file_says_is_kept() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv("Phone,Customer,city,plan\n0861234567,17,Cork,A\n0861234568,18,Sligo,B\n").await;
    let unchanged = "SELECT xmin::text AS line FROM contacts WHERE address = '353861234568'";
    let before = desk.lines(unchanged);
    desk.import_csv("Phone,Customer,city,debt\n0861234567,,Galway,5\n0861234568,18,Sligo,\n0861234569,19,,7\n").await;

    assert_eq!(
        desk.known(),
        [
            r#"353861234567 17 {"city": "Galway", "debt": "5", "plan": "A", "Customer": "17"}"#,
            r#"353861234568 18 {"city": "Sligo", "plan": "B", "Customer": "18"}"#,
            r#"353861234569 19 {"debt": "7", "Customer": "19"}"#,
        ]
    );
    assert_eq!(desk.lines(unchanged), before, "a contact about which there is no news was written again");
}

#[actix_web::test]
async fn the_first_of_two_rows_with_one_number_is_what_is_known() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    for _ in 0..2 {
        desk.import_csv("Phone,Customer,city\n0861234567,17,Cork\n0861234567,18,Sligo\n").await;
        assert_eq!(desk.known(), [r#"353861234567 17 {"city": "Cork", "Customer": "17"}"#]);
        desk.sql("UPDATE contacts SET customer_id = NULL, \"values\" = '{}'");
    }
}

#[actix_web::test]
async fn a_contact_that_somebody_adds_meanwhile_learns_what_the_file_says() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.upload("/files", "people.csv", b"Phone,Customer\n0861234567,17\n", &[]).await;
    let form = [("use-0", "channel_id"), ("use-1", "customer_id"), ("region", "IE")];
    desk.fill_in("/files/1/import", &form).await;
    let now = desk.app.clock.now();
    let claim = desk.db(|conn| {
        bugle::files::store::claim(conn, uuid::Uuid::new_v4(), now + chrono::TimeDelta::seconds(60), now).unwrap()
    });
    let claim = claim.expect("a file to import");
    assert_eq!(claim.file.id, FileId(1));

    let mut somebody = desk.app.db.open().unwrap();
    somebody.batch_execute("BEGIN; INSERT INTO contacts (kind, address) VALUES ('sms', '353861234567')").unwrap();
    std::thread::scope(|scope| {
        let import = scope.spawn(|| import::run(&desk.app.db, &desk.app.clock, &claim).unwrap());
        let waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while desk.number(waiting) == 0 {
            assert!(!import.is_finished(), "the import did not wait for the other transaction");
        }
        somebody.batch_execute("COMMIT").unwrap();
        import.join().unwrap();
    });
    assert_eq!(desk.known(), [r#"353861234567 17 {"Customer": "17"}"#]);
}

#[actix_web::test]
async fn two_imports_that_have_news_of_the_same_contacts_do_not_wait_for_each_other() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let numbers: Vec<String> = (0..3000).map(|i| format!("+35386{:07}", 1_000_000 + i)).collect();
    for n in 1..=6 {
        let mut lines: Vec<String> = numbers.iter().map(|number| format!("{number},{n}")).collect();
        if n % 2 == 0 {
            lines.reverse();
        }
        let text = format!("Phone,round\n{}\n", lines.join("\n"));
        desk.upload("/files", "people.csv", text.as_bytes(), &[]).await;
        let form = [("use-0", "channel_id"), ("use-1", "data"), ("region", "IE")];
        desk.fill_in(&format!("/files/{n}/import"), &form).await;
    }
    let (one, two) = tokio::join!(importer::tick(&desk.app), importer::tick(&desk.app));
    assert_eq!(one.unwrap() + two.unwrap(), 6);
    let rounds = "SELECT DISTINCT \"values\" ->> 'round' AS line FROM contacts";
    assert_eq!(desk.lines(rounds).len(), 1, "the contacts know of different rounds");
}

#[actix_web::test]
async fn contacts_are_found_by_address_customer_id_and_value() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv("Phone,Customer,City\n0861234567,AB-17,Cork\n0861234568,ab-18,Sligo\n0871234567,35386,Cork city\n")
        .await;

    let page = desk.visit("/contacts").await;
    for shown in ["353861234567", "353861234568", "353871234567", "AB-17", "Sligo"] {
        page.shows(shown);
    }
    let found = async |q: &str| {
        let page = desk.visit(&format!("/contacts?q={q}")).await;
        assert_eq!(page.status, 200);
        let all = ["353861234567", "353861234568", "353871234567"];
        all.into_iter().filter(|it| page.html.contains(&format!(">{it}</a>"))).collect::<Vec<_>>()
    };
    assert_eq!(found("35386").await, ["353861234567", "353861234568", "353871234567"], "the last by its customer ID");
    assert_eq!(found("353%2086%20123-45%2068").await, ["353861234568"]);
    assert_eq!(found("AB-1").await, ["353861234567", "353861234568"]);
    assert_eq!(found("city:+cork").await, ["353861234567", "353871234567"]);
    assert_eq!(found("city:+sl").await, ["353861234568"]);
    assert_eq!(found("plan:+A").await, [""; 0]);
    assert_eq!(found("35386%25").await, [""; 0], "a percent sign is itself");
    assert_eq!(found("353861234567&kind=viber").await, [""; 0]);
    desk.visit("/contacts?q=zzz").await.shows("Nobody found");
    assert_eq!(desk.visit_as_stranger("/contacts").await.status, 303);
}

#[actix_web::test]
async fn contacts_are_found_as_people_at_home_write_them_and_without_accents() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv("Phone,Customer,name\n0861234821,C9,Zoë Brien\n0871234567,C8,Ann\n").await;
    for q in ["0861234821", "086%20123%204821", "4821", "Zo%C3%AB", "zoe", "brien", "C9"] {
        let page = desk.visit(&format!("/contacts?q={q}")).await;
        page.shows("353861234821");
        page.lacks("353871234567");
    }
    desk.visit("/contacts?q=9999").await.shows("Nobody found");
}

#[actix_web::test]
async fn a_table_that_was_taken_away_can_be_uploaded_again() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv("Phone,customer id,Name,city\n0861234821,C9,Zoë,Cork\n+4915123456704,C8,=1+1,Bonn\n").await;
    let before = desk.known();
    let table = desk.visit("/contacts.csv").await.html;
    let uploaded = desk.upload("/files", "contacts.csv", table.as_bytes(), &[]).await;
    let file = uploaded.location.expect("uploaded");
    let n_columns = table.lines().next().unwrap().split(',').count();
    let names: Vec<String> = (0..n_columns).map(|i| format!("use-{i}")).collect();
    let own = ["channel_id", "ignore", "customer_id", "ignore", "ignore", "ignore"];
    let uses = own.into_iter().chain(std::iter::repeat("data"));
    // Numbers have their country code, so any country will do.
    let form: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(uses).chain([("region", "AT")]).collect();
    assert_eq!(desk.fill_in(&format!("{file}/import"), &form).await.status, 303);
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);
    assert_eq!(desk.known(), before);
}

#[actix_web::test]
async fn nobody_comes_twice_and_nobody_is_left_out_page_by_page() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.sql(
        "INSERT INTO contacts (kind, address, customer_id, \"values\")
         SELECT (ARRAY['sms', 'whatsapp', 'webchat'])[1 + n % 3], CASE WHEN n % 3 = 2 THEN 'x' ELSE '35386' END || n,
                CASE WHEN n % 2 = 0 THEN '353-' || n % 7 END, jsonb_build_object('n', n % 2)
         FROM generate_series(1, 100) n",
    );
    desk.sql("UPDATE contacts SET \"values\" = jsonb_build_object('n', id % 2 || '!')");
    for (q, n) in [("", 100), ("35386", 67), ("353", 84), ("x", 33), ("353-", 84), ("353-1", 7), ("n: 1", 50)] {
        let (mut seen, mut ask) = (Vec::new(), ContactSearch { q: q.into(), ..ContactSearch::default() });
        loop {
            let found = desk.db(|conn| search::page(conn, &ask, 7, desk.app.clock.now()).unwrap());
            seen.extend(found.contacts.iter().map(|it| it.id));
            match found.next {
                Some(next) => ask.after = next,
                None => break,
            }
        }
        let shown = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((shown, seen.len()), (n, n), "{q:?}");
    }
    let only = ContactSearch { q: "35386".into(), kind: Some(Kind::Whatsapp), ..ContactSearch::default() };
    let found = desk.db(|conn| search::page(conn, &only, 100, desk.app.clock.now()).unwrap());
    assert_eq!(found.contacts.len(), 34);
}

#[actix_web::test]
async fn an_empty_page_says_where_contacts_come_from() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.visit("/contacts").await.shows(r#"<a class="button primary" href="/files/new">Import a file…</a>"#);
    desk.gives_the_admin_the_role(Role::Viewer);
    desk.visit("/contacts").await.lacks("/files/new");
}

#[actix_web::test]
async fn contacts_go_out_as_a_table_that_runs_nothing() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv("Phone,Customer,city,plan\n0861234567,=1+1,Cork,\n0861234568,18,,@B\n").await;
    desk.sql("UPDATE contacts SET opted_out_at = '2026-03-01T10:00:00Z' WHERE address = '353861234567'");
    desk.sql("INSERT INTO blocklist (kind, address, added_at) VALUES ('sms', '353861234568', now())");

    let csv = desk.visit("/contacts.csv").await;
    assert_eq!(
        csv.html.lines().collect::<Vec<_>>(),
        [
            "\u{feff}address,kind,customer id,opted out,blocked,blocked until,Customer,city,plan",
            "'+353861234568,sms,18,,yes,,18,,'@B",
            "'+353861234567,sms,'=1+1,2026-03-01T10:00:00+00:00,,,'=1+1,Cork,",
        ]
    );
    assert_eq!(desk.visit("/contacts.csv?q=353861234568").await.html.lines().count(), 2);
}

#[actix_web::test]
async fn a_history_says_why_in_every_case() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let all = ["12020000001", "12020000090", "12020000095", "12020000093", "12020000002", "12020000003", "12020000004"];
    let all = all.map(String::from);
    desk.file(&all);
    desk.sql("UPDATE contacts SET opted_out_at = '2026-03-01T10:00:00Z' WHERE address = '12020000002'");
    desk.sql("INSERT INTO blocklist (kind, address, added_at) VALUES ('sms', '12020000003', now())");
    let (campaign, _, run) = desk.campaign_to("Spring", &all, "09:00-09:01", 60.0, LatePolicy::CatchUp).await;
    desk.run_until("2026-03-02 09:00:05").await;

    let page = desk.history("12020000001").await;
    page.shows(r#"<span class="outcome" data-tone="good">delivered</span>"#);
    page.shows(&format!(r#"href="/runs/{run}?q=12020000001">Spring-2026-03-02</a>"#));
    page.shows(&format!("/campaigns?open={campaign}"));
    page.shows("no opt-out, not on the blocklist");
    desk.history("12020000090").await.shows("The provider says the address does not exist.");
    desk.history("12020000095").await.shows("It is not sent again by itself.");
    desk.history("12020000093").await.shows("Next try at");
    let page = desk.history("12020000002").await;
    page.shows("The person opted out before their turn.");
    page.shows("Opted out.");
    page.shows("1 March 2026, 10:00");
    let page = desk.history("12020000003").await;
    page.shows("The address is on the blocklist.");
    page.shows("Blocked for ever.");
    desk.history("12020000004").await.shows("Its turn has not come.");
    desk.sql("UPDATE schedule_runs SET next_seq = last_seq + 1");
    desk.history("12020000004").await.shows("Handed to the provider; no answer yet.");
}

#[actix_web::test]
async fn a_history_tells_overrun_and_stopped_apart_newest_first() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let who = phones(3);
    desk.campaign_to("Late", &who, "09:00-09:01", 1.0, LatePolicy::CatchUp).await;
    desk.run_until("2026-03-02 09:01:05").await;
    let (campaign, ..) = desk.campaign_to("Ended", &who, "09:00-18:00", 0.1, LatePolicy::KeepRate).await;
    let (admin, now) = (desk.admin, desk.app.clock.now());
    desk.db(|conn| bugle::control::actions::stop(conn, campaign, admin, now).unwrap());

    let page = desk.history(&who[2]).await;
    page.shows("The end time came first.");
    page.shows("It was stopped before this contact's turn.");
    assert!(page.html.find("Ended-2026").unwrap() < page.html.find("Late-2026").unwrap(), "the newest is not first");
}

#[actix_web::test]
async fn a_history_tells_of_rows_that_files_lost() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv("Phone,Customer\n0861234567,17\n0871234567,18\n0861234567,19\n").await;

    let page = desk.history("353861234567").await;
    page.shows("Left out of files");
    page.shows("duplicate in file");
    page.shows("Row 2 has the same Phone. That row is used, this one is not.");
    page.shows("In no run yet.");
    desk.history("353871234567").await.lacks("Left out of files");
}

#[actix_web::test]
async fn a_long_history_comes_page_by_page() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let who = phones(1);
    let (_, schedule, run) = desk.campaign_to("Spring", &who, "09:00-10:00", 60.0, LatePolicy::CatchUp).await;
    desk.sql(&format!(
        "INSERT INTO schedule_runs (schedule_id, campaign_id, channel_id, file_id, name, run_date, body, starts_at, ends_at, late_policy, rate, last_seq)
         SELECT {schedule}, campaign_id, channel_id, file_id, 'Day ' || n, run_date + n, body, starts_at + n * interval '1 day', ends_at + n * interval '1 day', late_policy, rate, 1
         FROM schedule_runs, generate_series(1, 60) n WHERE id = {run}"
    ));
    desk.sql(
        "INSERT INTO deliveries (run_id, seq, contact_id, address, \"values\")
         SELECT r.id, 1, c.id, c.address, '{}' FROM schedule_runs r, contacts c WHERE r.name LIKE 'Day %'",
    );
    let first = desk.history(&who[0]).await;
    first.shows("Day 60");
    first.lacks("Day 10<");
    let older = first.html.split("before=").nth(1).unwrap().split('"').next().unwrap();
    let second = desk.visit(&format!("/contacts/{}?before={older}", desk.contact(&who[0]))).await;
    second.shows("Day 10<");
    second.shows("Spring-2026-03-02");
    second.lacks("Day 60");
    desk.visit(&format!("/contacts/{}?before=x", desk.contact(&who[0]))).await.shows("Day 60");
}

#[actix_web::test]
async fn what_is_known_can_be_corrected_and_the_journal_hears_of_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv("Phone,Customer,city,plan\n0861234567,17,Cork,A\n").await;
    let path = format!("/contacts/{}", desk.contact("353861234567"));
    desk.visit(&path).await.shows(r#"<input name="field" value="plan""#);
    let form = [
        ("customer_id", "18"),
        ("field", "city"),
        ("value", "Sligo"),
        ("field", "plan"),
        ("value", ""),
        ("field", "since"),
        ("value", "2020"),
    ];
    assert_eq!(desk.fill_in(&path, &form).await.location.as_deref(), Some(path.as_str()));
    assert_eq!(desk.known(), [r#"353861234567 18 {"city": "Sligo", "since": "2020"}"#]);
    let journal = "SELECT happened || ' ' || why AS line FROM journal WHERE happened = 'contact.edited'";
    assert_eq!(desk.lines(journal), ["contact.edited customer ID, Customer, city, plan, since"]);

    let wrong = desk.fill_in(&path, &[("customer_id", "19"), ("field", ""), ("value", "homeless")]).await;
    assert_eq!(wrong.status, 422);
    wrong.shows(r#"value="homeless""#);
    wrong.shows(r#"value="19""#);
    wrong.shows(r#"<small class="error" id="values-error">Name the field that holds “homeless”."#);
    wrong.shows(r#"<fieldset aria-describedby="values-error">"#);
    wrong.shows(r#"aria-label="Value 1""#);

    desk.gives_the_admin_the_role(Role::Viewer);
    assert_eq!(desk.fill_in(&path, &form).await.status, 403);
    desk.visit(&path).await.lacks("<form class=\"card");
    assert_eq!(desk.visit("/contacts/4711").await.status, 404);
}

#[actix_web::test]
async fn a_blocked_address_gets_nothing_until_its_day_is_over() {
    let desk = Desk::open_at("2026-03-02 22:00").await;
    let who = ["12025550101".to_owned()];
    let form = [
        ("kind", "sms"),
        ("region", ""),
        ("address", who[0].as_str()),
        ("until", "2026-03-02"),
        ("why", "asked us to"),
    ];
    assert_eq!(desk.fill_in("/blocklist", &form).await.location.as_deref(), Some("/blocklist"));
    let page = desk.visit("/blocklist").await;
    page.shows("2 March 2026");
    page.shows("asked us to");
    page.shows("by Ada");
    page.lacks("Expired");

    let (_, _, today) = desk.campaign_to("Today", &who, "22:30-23:00", 60.0, LatePolicy::CatchUp).await;
    desk.at("2026-03-02 22:29:59");
    desk.run_until("2026-03-02 22:30:05").await;
    assert_eq!((desk.received().len(), desk.counts(today).skipped), (0, 1));
    let page = desk.history(&who[0]).await;
    page.shows("asked us to");
    page.shows(">2 March 2026</time> (UTC)");

    desk.at("2026-03-03 00:00");
    desk.visit("/blocklist").await.shows("Expired");
    let (_, _, tomorrow) = desk.campaign_to("Tomorrow", &who, "00:10-01:00", 60.0, LatePolicy::CatchUp).await;
    desk.at("2026-03-03 00:09:59");
    desk.run_until("2026-03-03 00:10:05").await;
    assert_eq!((desk.received().len(), desk.counts(tomorrow).skipped), (1, 0));
    desk.history(&who[0]).await.lacks("asked us to");
}

#[actix_web::test]
async fn an_address_leaves_the_blocklist_and_is_sent_to_again() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let who = ["12025550101", "12025550102"].map(String::from);
    for address in &who {
        desk.fill_in("/blocklist", &[("kind", "sms"), ("address", address)]).await;
    }
    let id = desk.number(&format!("SELECT id AS n FROM blocklist WHERE address = '{}'", who[1]));
    assert_eq!(desk.submit(&format!("/blocklist/{id}/remove")).await.status, 303);
    assert_eq!(desk.submit(&format!("/blocklist/{id}/remove")).await.status, 404);

    let (_, _, run) = desk.campaign_to("Spring", &who, "09:00-10:00", 60.0, LatePolicy::CatchUp).await;
    desk.run_until("2026-03-02 09:00:05").await;
    assert_eq!(desk.received().iter().map(|it| it.phone.clone()).collect::<Vec<_>>(), [who[1].clone()]);
    assert_eq!(desk.counts(run).skipped, 1);
    let journal = "SELECT happened AS line FROM journal WHERE happened LIKE 'address.%' ORDER BY id";
    assert_eq!(desk.lines(journal), ["address.blocked", "address.blocked", "address.unblocked"]);
}

#[actix_web::test]
async fn what_cannot_be_blocked_comes_back_as_it_was_typed() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let form = [("kind", "sms"), ("region", "IE"), ("address", "07911 1"), ("until", "2026-03-01"), ("why", "rang")];
    let page = desk.fill_in("/blocklist", &form).await;
    assert_eq!(page.status, 422);
    page.shows(r#"value="07911 1""#);
    page.shows("07911 1 is not a phone number in Ireland.");
    page.shows("This day is over.");
    page.shows(r#"value="rang""#);
    page.shows(r#"<option value="IE" selected>"#);
    assert_eq!(desk.number("SELECT count(*) AS n FROM blocklist"), 0);
}

#[actix_web::test]
async fn a_blocklist_is_imported_line_by_line_and_goes_out_as_it_came() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let csv = "address,until,why\n0861234567,2026-04-30,=1+1\n07911 1,,\n+353861234568,,rang\n0861234569,yesterday,\n";
    let form = [("kind", "sms"), ("region", "IE")];
    let page = desk.lands(desk.upload("/blocklist/import", "list.csv", csv.as_bytes(), &form).await).await;
    page.shows("2 addresses are blocked.");
    page.shows(r#"<td class="num" data-label="Line">3</td><td data-label="Address">07911 1</td>"#);
    page.shows("Write the last day as year-month-day");
    assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE happened = 'address.blocked'"), 2);

    let out = desk.visit("/blocklist.csv").await;
    let lines: Vec<&str> = out.html.lines().collect();
    assert_eq!(lines[0], "\u{feff}address,until,why,kind,added by,added");
    assert_eq!(lines[1], "'+353861234568,,rang,sms,Ada,2026-03-02T09:00:00+00:00");
    assert_eq!(lines[2], "'+353861234567,2026-04-30,'=1+1,sms,Ada,2026-03-02T09:00:00+00:00");

    let entries = "SELECT concat_ws(' ', address, until, why) AS line FROM blocklist ORDER BY address";
    let before = desk.lines(entries);
    for region in ["", "IE", "US"] {
        let form = [("kind", "sms"), ("region", region)];
        let again = desk.lands(desk.upload("/blocklist/import", "list.csv", out.html.as_bytes(), &form).await).await;
        again.shows("2 addresses are blocked.");
        again.shows("Every line could be read.");
        assert_eq!(desk.lines(entries), before, "{region}");
    }

    let pasted = [("kind", "sms"), ("region", "IE"), ("text", "nonsense"), ("file", "")];
    let page = desk.upload("/blocklist/import", "", b"", &pasted[..3]).await;
    assert_eq!(page.status, 422);
    page.shows("nonsense</textarea>");
    page.shows("nonsense is not a phone number.");
}

#[actix_web::test]
async fn a_contact_is_blocked_whatever_country_the_operator_is_used_to() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv("Phone,Customer\n+12025550101,17\n").await;
    desk.history("12025550101").await.shows("/blocklist/new?kind=sms&address=%2B12025550101");
    let page = desk.visit("/blocklist/new?kind=sms&address=%2B12025550101").await;
    page.shows(r#"value="+12025550101""#);
    page.shows(r#"<option value="IE" selected>"#);
    let form = [("kind", "sms"), ("region", "IE"), ("address", "+12025550101")];
    assert_eq!(desk.fill_in("/blocklist", &form).await.status, 303);
    assert_eq!(desk.lines("SELECT address AS line FROM blocklist"), ["12025550101"]);
}

#[actix_web::test]
async fn a_pasted_text_beside_a_file_is_not_lost() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let form = [("kind", "sms"), ("region", "IE"), ("text", "0861234567")];
    let page = desk.upload("/blocklist/import", "list.csv", b"0861234568\n", &form).await;
    assert_eq!(page.status, 422);
    page.shows("0861234567</textarea>");
    page.shows("A file came in beside these.");
    assert_eq!(desk.number("SELECT count(*) AS n FROM blocklist"), 0);
}

#[actix_web::test]
async fn who_may_only_look_may_not_block() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.fill_in("/blocklist", &[("kind", "sms"), ("address", "353861234567")]).await;
    desk.gives_the_admin_the_role(Role::Viewer);
    let page = desk.visit("/blocklist").await;
    page.shows("+353 86 ••• ••67");
    page.lacks("/remove");
    assert_eq!(desk.visit("/blocklist/new").await.status, 403);
    assert_eq!(desk.fill_in("/blocklist", &[("kind", "sms"), ("address", "353861234568")]).await.status, 403);
    assert_eq!(desk.submit("/blocklist/1/remove").await.status, 403);
    assert_eq!(desk.upload("/blocklist/import", "a.csv", b"353861234568", &[]).await.status, 403);
}

#[actix_web::test]
async fn who_only_looks_sees_no_address_in_full_and_takes_no_table_away() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let to = ["12025550101", "12025550102", "12025550103"].map(str::to_owned);
    let it = &to[0];
    let (.., run) = desk.campaign_to("Spring", &to, "09:00-11:00", 6000.0, LatePolicy::CatchUp).await;
    desk.later(2);
    desk.tick().await;
    desk.hears(it, "STOP").await;
    // Their number stands in what they say, too.
    desk.hears(it, &format!("hello? ring {it}")).await;
    let now = desk.app.clock.now();
    let list = desk.db(|conn| bugle::lists::actions::create(conn, "All", Kind::Sms, &to, desk.admin, now).unwrap());
    desk.fill_in("/blocklist", &[("kind", "sms"), ("address", &format!("+{it}"))]).await;
    let thread =
        desk.number(&format!("SELECT min(id) AS n FROM conversations WHERE contact_id = {}", desk.contact(it)));
    let file = desk.number("SELECT max(id) AS n FROM files");
    let looks = [
        "/contacts".to_owned(),
        format!("/contacts/{}", desk.contact(it)),
        format!("/lists/{list}"),
        "/blocklist".to_owned(),
        format!("/runs/{run}"),
        "/inbox?view=all".to_owned(),
        format!("/inbox/{thread}"),
        "/phones".to_owned(),
        format!("/files/{file}/rows"),
        "/settings/consent".to_owned(),
    ];
    let tables = [
        "/contacts.csv".to_owned(),
        format!("/lists/{list}/members.csv"),
        "/blocklist.csv".to_owned(),
        format!("/runs/{run}/ledger.csv"),
        format!("/files/{file}/problems.csv"),
        "/settings/consent/changes.csv".to_owned(),
        format!("/inbox/{thread}/transcript.csv"),
        format!("/inbox/{thread}/transcript.txt"),
    ];
    let masked = bugle::access::masked(it);
    let is_offered = |page: &Answer| tables.iter().any(|table| page.html.contains(&format!("href=\"{table}")));

    desk.gives_the_admin_the_role(Role::Operator);
    for path in &looks {
        let page = desk.visit(path).await;
        page.shows(it);
        page.lacks(&masked);
    }
    assert!(is_offered(&desk.visit("/contacts").await) && is_offered(&desk.visit(&looks[6]).await));
    for path in &tables {
        assert_eq!(desk.visit(path).await.status, 200, "{path}");
    }

    desk.gives_the_admin_the_role(Role::Viewer);
    for path in &looks {
        let page = desk.visit(path).await;
        assert!(page.status == 200 && !page.html.contains(it.as_str()), "{path} shows the address: {}", page.html);
        page.shows(&masked);
        assert!(!is_offered(&page), "{path}");
    }
    for path in &tables {
        let refused = desk.visit(path).await;
        assert_eq!(refused.status, 403, "{path}");
        refused.shows("You may not do this");
    }
    // In full it is found, and not digit by digit.
    for path in [&looks[0], &looks[2], &looks[3], &looks[4], &looks[5], &looks[7], &looks[9]] {
        let ask = if path.contains('?') { '&' } else { '?' };
        desk.visit(&format!("{path}{ask}q=%2B{it}")).await.shows(&masked);
        let part = desk.visit(&format!("{path}{ask}q={}", &it[..it.len() - 1])).await;
        assert!(part.status == 200 && !part.html.contains(&masked), "{path}");
    }
    desk.visit(&format!("/phones?q={it}")).await.shows(&format!("href=\"/phones/{it}"));
    let taken = "SELECT count(*) AS n FROM journal WHERE happened = 'table.exported'";
    assert_eq!(desk.number(taken), tables.len() as i64, "whoever was refused took nothing");
}

#[actix_web::test]
async fn the_blocklist_is_searched_and_paged() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let numbers: Vec<String> = (0..60).map(|i| format!("+35386{:07}", 1_000_000 + i)).collect();
    let text = numbers.join("\n");
    let form = [("kind", "sms"), ("text", text.as_str())];
    desk.lands(desk.upload("/blocklist/import", "", b"", &form).await).await.shows("60 addresses");
    let first = desk.visit("/blocklist").await;
    assert_eq!(first.html.matches("id=\"entry-").count(), 50);
    first.shows("Next page");
    let found = desk.visit("/blocklist?q=%2B353+86+1000+059").await;
    assert_eq!(found.html.matches("id=\"entry-").count(), 1);
    found.shows("353861000059");
    desk.visit("/blocklist?q=999").await.shows("Nobody found");

    let id = desk.number("SELECT id AS n FROM blocklist WHERE address = '353861000059'");
    let remove = format!("/blocklist/{id}/remove?q=%2B353+86+1000+059");
    found.shows(&format!(r#"action="{remove}""#));
    assert_eq!(desk.submit(&remove).await.location.as_deref(), Some("/blocklist?q=%2B353+86+1000+059"));
    assert_eq!(desk.visit("/blocklist?before=x").await.html.matches("id=\"entry-").count(), 50);
}

#[actix_web::test]
async fn blocked_numbers_with_two_readings_wait_for_a_choice_with_their_day_and_reason() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let form = [("kind", "sms"), ("region", "DE")];
    let file = b"phone;reason;until\n0331 123457;moved;\n49331123456;\"asked, twice\";2026-05-01\n";
    assert_eq!(desk.upload("/blocklist/import", "list.csv", file, &form).await.status, 303);
    let page = desk.visit("/blocklist/import").await;
    page.shows("1 address is blocked.");
    page.shows("1 number could be read two ways and was left out.");
    page.shows("49331123456,2026-05-01,\"asked, twice\"");
    let chosen = [("text", "49331123456,2026-05-01,\"asked, twice\""), ("two_ways", "with_code")];
    assert_eq!(desk.upload("/blocklist/import", "", b"", &[&form[..], &chosen].concat()).await.status, 303);
    desk.visit("/blocklist/import").await.shows("1 address is blocked.");
    let blocked = "SELECT concat_ws(' ', address, until::date, why) AS line FROM blocklist ORDER BY address DESC";
    assert_eq!(desk.lines(blocked), ["49331123457 moved", "49331123456 2026-05-02 asked, twice"]);
}

#[actix_web::test]
async fn an_address_is_hidden_in_values_and_texts_as_well() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import_csv("Phone,ID,Call back\n0861234567,7,after six: 086 123 4567\n").await;
    desk.hears("353861234567", "This is +353 86 1234567, ring me").await;
    let contact = desk.number("SELECT id AS n FROM contacts");
    let thread = format!("/inbox/{}", desk.number("SELECT id AS n FROM conversations"));
    let pages = ["/files/1/rows".to_owned(), "/contacts".to_owned(), format!("/contacts/{contact}"), thread];
    for page in &pages {
        let shown = desk.visit(page).await;
        assert!(
            shown.html.contains("086 123 4567") || shown.html.contains("+353 86 1234567"),
            "{page}: {}",
            shown.html
        );
    }
    desk.gives_the_admin_the_role(Role::Viewer);
    for page in &pages {
        let shown = desk.visit(page).await;
        assert_eq!(shown.status, 200, "{page}");
        for number in ["086 123 4567", "353861234567", "86 1234567", "0861234567"] {
            shown.lacks(number);
        }
    }
}
