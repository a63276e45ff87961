//! A quick campaign: one page, one text, under a minute.

use bugle::access::Role;
use bugle::engine::{importer, launcher};
use bugle::quick::actions::{self, Quick, QuickTo};
use bugle::schedules::Draft;

use futures_util::future::join_all;

use super::desk::{Answer, Desk, phones, until};
use super::opting_out::Turnstile;

const KEY: &str = "0b9f3f34-6f4e-4f2e-9d6f-2b6f5f0f0f01";

/// The form as it is filled in: to typed numbers, now.
pub fn form<'a>(desk: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("start_key", KEY),
        ("name", "Quick one"),
        ("channel", desk),
        ("to", "numbers"),
        ("numbers", "0871000001\n0871000002, 087 100 0003"),
        ("region", "IE"),
        ("body", "The office is closed today."),
        ("when", "now"),
        ("rate", "60"),
        ("end", ""),
    ];
    for (name, value) in more {
        match fields.iter_mut().find(|(field, _)| field == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    fields
}

/// The form as somebody finds it who presses the button on the Campaigns screen.
async fn open(desk: &Desk) -> Answer {
    let answer = desk.visit("/campaigns/quick").await;
    desk.visit(&answer.location.unwrap()).await
}

/// Sends the form with an empty file field, as a browser does when none was chosen.
async fn send(desk: &Desk, more: &[(&str, &str)]) -> Answer {
    let channel = desk.channel.to_string();
    desk.upload("/campaigns/quick", "", b"", &form(&channel, more)).await
}

async fn send_file(desk: &Desk, bytes: &[u8], more: &[(&str, &str)]) -> Answer {
    let channel = desk.channel.to_string();
    let mut fields = form(&channel, &[("to", "file"), ("numbers", "")]);
    fields.extend(more);
    desk.upload("/campaigns/quick", "people.csv", bytes, &fields).await
}

fn campaigns(desk: &Desk) -> i64 {
    desk.number("SELECT count(*) AS n FROM campaigns")
}

#[actix_web::test]
async fn from_the_form_to_the_first_phone_it_is_one_tick() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let page = open(&desk).await;
    page.shows(r#"value="Quick 2 Mar 14:05""#);
    page.shows(r#"<option value="everywhere" selected>"#);
    desk.visit("/campaigns").await.shows(r#"href="/campaigns/quick""#);

    let answer = send(&desk, &[]).await;
    assert_eq!(answer.location.as_deref(), Some("/campaigns?open=1#campaign-1"), "{}", answer.html);
    desk.visit("/campaigns?open=1").await.shows("Quick one");
    desk.later(1);
    desk.tick().await;
    let received = desk.received();
    assert!(received.iter().any(|it| it.phone == "353871000001"), "{received:?}");
    assert_eq!(received[0].body, "The office is closed today.");

    desk.run_until("2026-03-02 14:05:05").await;
    assert_eq!(desk.received().len(), 3);
    assert_eq!(desk.number("SELECT count(*) AS n FROM campaigns WHERE kind = 'quick' AND state = 'finished'"), 1);
    // The country is remembered for the next one.
    open(&desk).await.shows(r#"<option value="IE" selected>"#);
}

#[actix_web::test]
async fn sent_twice_it_is_one_campaign() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let first = send(&desk, &[]).await;
    let again = send(&desk, &[]).await;
    assert_eq!((first.status, first.location), (303, again.location), "{}", again.html);
    // Gone back to, with another name in it, it is still the same form.
    assert_eq!(send(&desk, &[("name", "Quick two")]).await.status, 303);
    let back = desk.visit(&format!("/campaigns/quick?key={KEY}")).await;
    assert_eq!(back.location.as_deref(), Some("/campaigns?open=1#campaign-1"), "gone back to, it leads on");
    assert_eq!(campaigns(&desk), 1);
    desk.later(5);
    desk.tick().await;
    desk.tick().await;
    assert_eq!(desk.received().len(), 3);
}

#[actix_web::test]
async fn two_requests_that_race_start_one_campaign() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let (file, now, by) = (desk.file(&phones(2)), desk.app.clock.now(), desk.admin);
    let time = |hour| chrono::NaiveTime::from_hms_opt(hour, 5, 0).unwrap();
    let quick = Quick {
        key: KEY.into(),
        name: "Quick one".into(),
        zone: chrono_tz::UTC,
        to: QuickTo::File(file),
        plan: Draft::once("Main", desk.channel, "Hello", now.date_naive(), time(14), time(15), 60.0),
    };
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let (db, quick) = (desk.app.db.clone(), quick.clone());
            std::thread::spawn(move || actions::start(&mut db.open().unwrap(), &quick, by, now).unwrap())
        })
        .collect();
    let mut started: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
    started.dedup();
    assert_eq!(started.len(), 1, "{started:?}");
    assert_eq!((campaigns(&desk), desk.number("SELECT count(*) AS n FROM schedule_runs")), (1, 1));
}

#[actix_web::test]
async fn bad_numbers_are_named_asked_about_once_and_left_out() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let numbers = ("numbers", "0871000001\nMary\n0871000002\n0871");
    let checked = desk.fill_in_with_htmx("/campaigns/quick/check", &[numbers, ("region", "IE")]).await;
    checked.shows("4 numbers</b>, <b class=\"num\">2</b> cannot be used");
    checked.shows("Row 4: 0871 is not a phone number in Ireland");

    let asked = send(&desk, &[numbers]).await;
    assert_eq!((asked.status, campaigns(&desk)), (422, 0));
    asked.shows("Nothing was sent yet.");
    asked.shows("Row 2: Mary is not a phone number");
    asked.shows("Send to 2 of 4");
    asked.shows("+353 87 100 0001, +353 87 100 0002");
    asked.shows("The office is closed today.");

    let answer = send(&desk, &[numbers, ("only_good", "yes")]).await;
    assert_eq!(answer.status, 303, "{}", answer.html);
    desk.later(3);
    desk.tick().await;
    let mut phones: Vec<_> = desk.received().into_iter().map(|it| it.phone).collect();
    phones.sort();
    assert_eq!(phones, ["353871000001", "353871000002"]);
}

#[actix_web::test]
async fn a_form_with_mistakes_comes_back_as_it_was() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let mistakes = [
        ("name", " "),
        ("numbers", "Mary"),
        ("body", ""),
        ("when", "later"),
        ("date", "2026-03-02"),
        ("time", "14:00"),
        ("rate", "fast"),
        ("end", "late"),
    ];
    let page = send(&desk, &mistakes).await;
    assert_eq!((page.status, campaigns(&desk)), (422, 0));
    for what in [
        "Give the campaign a name.",
        "None of these is a number that can be sent to.",
        "Write the text.",
        "This has passed: it is 14:05 in UTC.",
        "A number above 0 and up to 6,000,000",
        "A time, such as 18:00, or nothing.",
        r#"value="fast""#,
        r#"value="later" checked"#,
        KEY,
    ] {
        page.shows(what);
    }
    let none = send(&desk, &[("numbers", "")]).await;
    none.shows("Type or paste at least one number.");
    send(&desk, &[("to", "list"), ("list", "7")]).await.shows("Choose a list.");
    send(&desk, &[("to", "file")]).await.shows("Choose a file with your contacts.");

    send(&desk, &[]).await;
    let taken = send(&desk, &[("start_key", "0b9f3f34-6f4e-4f2e-9d6f-2b6f5f0f0f02")]).await;
    assert_eq!(taken.status, 422);
    taken.shows("Another campaign is called “Quick one”.");
    assert_eq!(send(&desk, &[("start_key", "x")]).await.status, 422);
}

#[actix_web::test]
async fn a_file_is_imported_by_itself_and_its_fields_are_filled_in() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let people = b"mobile,name\n0871000001,Anna\n0871000002,Ben\nnobody,Eve\n";
    let asked = send_file(&desk, people, &[("body", "Hello #name")]).await;
    assert_eq!((asked.status, campaigns(&desk)), (422, 0));
    asked.shows("Send to 2 of 3");
    asked.shows("+353 87 100 0001, +353 87 100 0002");
    asked.shows("Row 4: nobody is not a phone number");
    asked.shows(r#"<li class="bubble">Hello Anna</li>"#);
    let answer = send(&desk, &[("to", "file"), ("kept", "1"), ("body", "Hello #name"), ("only_good", "yes")]).await;
    assert_eq!(answer.location.as_deref(), Some("/campaigns?open=1#campaign-1"), "{}", answer.html);
    desk.later(2);
    desk.tick().await;
    let mut bodies: Vec<_> = desk.received().into_iter().map(|it| it.body).collect();
    bodies.sort();
    assert_eq!(bodies, ["Hello Anna", "Hello Ben"]);
}

#[actix_web::test]
async fn a_file_goes_out_unasked_only_when_nothing_about_it_is_in_question() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let asks = async |file: &str, more: &[(&str, &str)]| {
        let answer = send_file(&desk, file.as_bytes(), more).await;
        assert_eq!((answer.status, campaigns(&desk)), (422, 0), "{file}");
        answer
    };
    let people = "mobile,name,code\n0871000001,Anna,1\n0871000002,Ben,\n";
    asks(people, &[("body", "Hi #nmae, your code")]).await.shows("#nmae is no field. It would be sent as it stands.");
    asks(people, &[("body", "Hi #name, #code")]).await.shows("1 of them has no code and would be skipped.");
    let late = [("body", "Hi"), ("rate", "1"), ("end", "14:06")];
    asks(people, &late).await.shows("There is no time for 1 of them before the end.");
    asks("mobile,name\n00000000,Eve\n", &[]).await.shows("No row of this file can be sent to.");
    let chosen = desk
        .upload("/campaigns/quick/file", "kunden.csv", people.as_bytes(), &[("to", "file"), ("region", "IE")])
        .await;
    chosen.shows("Goes to the column “mobile”: +353 87 100 0001, +353 87 100 0002");
    chosen.shows("#mobile, #name, #code");

    let answer = send_file(&desk, people.as_bytes(), &[("body", "Hi #name, #code|no code#")]).await;
    assert_eq!(answer.location.as_deref(), Some("/campaigns?open=1#campaign-1"), "{}", answer.html);
}

#[actix_web::test]
async fn a_column_that_only_looks_like_numbers_is_not_sent_to_unasked() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    // Customer numbers of this length are phone numbers in Berlin. Which column it is, the name says.
    let named = "Kundennummer;Vorname;Telefon\n30125556;Anna;0171 2345678\n30125557;Ben;0171 2345679\n";
    let answer = send_file(&desk, named.as_bytes(), &[("region", "DE")]).await;
    assert_eq!(answer.location.as_deref(), Some("/campaigns?open=1#campaign-1"), "{}", answer.html);
    desk.later(2);
    desk.tick().await;
    assert!(desk.received().iter().all(|it| it.phone.starts_with("49171")), "{:?}", desk.received());

    let key = |n: u8| format!("0b9f3f34-6f4e-4f2e-9d6f-2b6f5f0f0f{n:02}");
    for (n, unnamed) in [
        "Kundennummer;Vorname\n30125556;Anna\n30125557;Ben\n",
        "Phone;Mobile\n030125556;01712345678\n030125557;01712345679\n",
        "number;name\n30125556;Anna\n30125557;Ben\n",
        "Telefon;Vorname\nAnna;30125556\nBen;30125557\n",
    ]
    .iter()
    .enumerate()
    {
        let (key, name) = (key(10 + n as u8), format!("Quick {n}"));
        let more = [("region", "DE"), ("start_key", key.as_str()), ("name", name.as_str())];
        let answer = send_file(&desk, unnamed.as_bytes(), &more).await;
        let draft = format!("/campaigns/{}/edit#review", n + 2);
        assert_eq!(answer.location.as_deref(), Some(&*draft), "{unnamed}: {}", answer.html);
    }
}

#[actix_web::test]
async fn a_large_file_with_rows_that_cannot_be_used_becomes_a_draft_to_look_at() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let file = [&many()[..], b"nobody,Eve\n"].concat();
    let answer = send_file(&desk, &file, &[("end", "")]).await;
    assert_eq!(answer.location.as_deref(), Some("/campaigns/quick/1"), "{}", answer.html);
    desk.later(20);
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);
    assert_eq!(launcher::tick(&desk.app).await.unwrap(), 0);
    let moved = desk.peek("/campaigns/quick/1").await;
    assert_eq!(
        moved.status,
        200,
        "{} {}",
        moved.html,
        desk.lines("SELECT state || rows_bad || rows_good AS line FROM files")[0]
    );
    assert_eq!(moved.headers.get("hx-redirect").unwrap(), "/campaigns/1/edit#review");
}

#[actix_web::test]
async fn a_file_outlives_a_mistake_elsewhere_in_the_form() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let page = send_file(&desk, b"mobile,name\n0871000001,Anna\n", &[("body", "")]).await;
    assert_eq!(page.status, 422);
    page.shows("<b>people.csv</b> is kept.");
    page.shows(r#"name="kept" value="1""#);
    let measured = [("to", "file"), ("kept", "1"), ("body", "Hi #name and #nobody")];
    let measured = desk.fill_in_with_htmx("/campaigns/quick/measure", &measured).await;
    measured.shows("#nobody is no field of the file.");
    measured.lacks("#name is");

    // One that is gone is asked for again, and nothing else of the form is lost.
    let page = send(&desk, &[("to", "file"), ("kept", "999")]).await;
    assert_eq!(page.status, 422);
    page.shows("The file that was kept is gone. Choose it again.");
    page.shows("The office is closed today.");

    let answer = send(&desk, &[("to", "file"), ("kept", "1")]).await;
    assert_eq!(answer.status, 303, "{}", answer.html);
    desk.later(1);
    desk.tick().await;
    assert_eq!(desk.received().len(), 1);

    let page = send_file(&desk, b"\x00\x01\x02", &[("start_key", "0b9f3f34-6f4e-4f2e-9d6f-2b6f5f0f0f02")]).await;
    assert_eq!(page.status, 422);
    page.shows("file-error");
}

#[actix_web::test]
async fn a_file_that_nobody_can_read_the_columns_of_leads_to_the_draft() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let answer = send_file(&desk, b"a,b\nAnna,Cork\nBen,Galway\n", &[]).await;
    assert_eq!(answer.location.as_deref(), Some("/campaigns/1/edit#review"), "{}", answer.html);
    let page = desk.visit("/campaigns/1/edit").await;
    page.shows("people.csv");
    page.shows("The office is closed today.");
    page.shows("The file is not imported yet.");
}

/// More than is imported while one waits.
fn many() -> Vec<u8> {
    let mut file = String::from("mobile,name\n");
    for n in 0..20_000 {
        file.push_str(&format!("+3538710{n:05},{}\n", "Somebody with a rather long name of their own".repeat(2)));
    }
    file.into_bytes()
}

#[actix_web::test]
async fn a_large_file_launches_the_campaign_when_it_is_through() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let answer = send_file(&desk, &many(), &[("end", "")]).await;
    assert_eq!(answer.location.as_deref(), Some("/campaigns/quick/1"), "{}", answer.html);
    assert_eq!(send_file(&desk, b"", &[]).await.location.as_deref(), Some("/campaigns/quick/1"), "sent twice");
    desk.visit("/campaigns/quick/1").await.shows("It starts by itself");
    assert_eq!(desk.peek("/campaigns/quick/1").await.status, 204);
    assert_eq!(launcher::tick(&desk.app).await.unwrap(), 0, "its file is on its way");

    desk.later(20);
    importer::tick(&desk.app).await.unwrap();
    assert_eq!(launcher::tick(&desk.app).await.unwrap(), 1);
    assert_eq!(launcher::tick(&desk.app).await.unwrap(), 0);
    let moved = desk.peek("/campaigns/quick/1").await;
    assert_eq!(moved.headers.get("hx-redirect").unwrap(), "/campaigns?open=1#campaign-1");
    desk.later(1);
    desk.tick().await;
    let n = desk.received().len();
    assert!((1..=3).contains(&n), "it does not hurry because of the import: {n}");
}

#[actix_web::test]
async fn after_stop_nothing_launches_by_itself() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    send_file(&desk, &many(), &[]).await;
    assert_eq!(desk.fill_in("/stop", &[("word", "STOP")]).await.status, 303);
    importer::tick(&desk.app).await.unwrap();
    assert_eq!(launcher::tick(&desk.app).await.unwrap(), 0);
    assert_eq!(desk.number("SELECT count(*) AS n FROM campaigns WHERE state = 'draft'"), 1);
    let taken_back = "SELECT count(*) AS n FROM journal WHERE happened = 'campaign.launch_taken_back'";
    assert_eq!(desk.number(taken_back), 1);
}

#[actix_web::test]
async fn a_launch_to_come_that_is_stopped_or_paused_never_comes() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    const OTHER: &str = "0b9f3f34-6f4e-4f2e-9d6f-2b6f5f0f0f02";
    send_file(&desk, &many(), &[]).await;
    send_file(&desk, &many(), &[("start_key", OTHER), ("name", "Quick two")]).await;
    desk.visit("/campaigns/quick/1").await.shows(r#"action="/campaigns/1/stop""#);
    let row = desk.visit("/campaigns").await;
    row.shows("launches when its file is imported");
    row.shows(r#"href="/campaigns/1/stop""#);
    desk.visit("/campaigns/1/stop").await.shows("Stopped, it is a draft");

    let stopped = desk.press("/campaigns/1/stop").await;
    assert_eq!(stopped.status, 200, "{}", stopped.html);
    stopped.shows("It is a draft. Nothing leaves until somebody launches it.");
    assert_eq!(desk.submit("/campaigns/2/pause").await.status, 303);
    while importer::tick(&desk.app).await.unwrap() > 0 {}
    assert_eq!(launcher::tick(&desk.app).await.unwrap(), 0);
    assert_eq!(desk.number("SELECT count(*) AS n FROM campaigns WHERE state = 'draft'"), 2);
    let taken_back = "SELECT count(*) AS n FROM journal WHERE happened = 'campaign.launch_taken_back'";
    assert_eq!(desk.number(taken_back), 2);
    assert_eq!(desk.submit("/campaigns/1/stop").await.status, 409, "there is nothing left to stop");
}

/// The launch stands still at `moment`, and STOP is pressed meanwhile.
async fn a_stop_meets_the_launch(moment: fn(&Desk, &str) -> Turnstile) {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    send_file(&desk, &many(), &[]).await;
    while importer::tick(&desk.app).await.unwrap() > 0 {}
    let turnstile = moment(&desk, "DELETE ON launches_to_come");
    let app = desk.app.clone();
    let launch = actix_web::rt::spawn(async move { launcher::tick(&app).await.unwrap() });
    turnstile.somebody_waits(&desk).await;
    let waits = "SELECT count(*) AS n FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                 WHERE l.locktype = 'transactionid' AND NOT l.granted AND a.datname = current_database()";
    let (stopped, ()) = futures_util::join!(desk.submit("/campaigns/1/stop"), async {
        until("the stop waits for the launch", || desk.number(waits) > 0).await;
        turnstile.let_go();
    });
    assert_eq!((stopped.status, launch.await.unwrap()), (303, 1));
    assert_eq!(desk.state("campaigns", 1), "stopped");
    desk.later(60);
    desk.tick().await;
    assert!(desk.received().is_empty());
}

#[actix_web::test]
async fn a_stop_that_meets_the_launch_stops_what_it_launched() {
    // Just before it commits; and when it has been struck off and has locked nothing else yet.
    a_stop_meets_the_launch(Turnstile::before).await;
    a_stop_meets_the_launch(Turnstile::after).await;
}

#[actix_web::test]
async fn sent_eight_times_at_once_one_file_is_kept_and_imported() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let (file, small) = (many(), b"mobile,name\n0871000001,Ada\n");
    for (key, bytes, at) in [
        (KEY, &file[..], "/campaigns/quick/1"),
        ("0b9f3f34-6f4e-4f2e-9d6f-2b6f5f0f0f02", small, "/campaigns?open=2#campaign-2"),
    ] {
        let more = [("start_key", key), ("name", key)];
        let answers = join_all((0..8).map(|_| send_file(&desk, bytes, &more))).await;
        let places: Vec<_> = answers.iter().map(|answer| answer.location.as_deref()).collect();
        assert_eq!(places, vec![Some(at); 8]);
    }
    let ordered = "SELECT count(*) AS n FROM journal WHERE happened = 'file.import_ordered'";
    assert_eq!((desk.number("SELECT count(*) AS n FROM files"), desk.number(ordered)), (2, 2));
    let last = || desk.number("SELECT last_value AS n FROM files_id_seq");
    let before = last();
    assert_eq!(send_file(&desk, small, &[]).await.status, 303);
    assert_eq!(last(), before, "sent once more, it is not even stored");
}

#[actix_web::test]
async fn what_a_refused_form_brought_is_kept_for_a_day() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let (.., run) = desk.campaign("Spring", 1, "14:00-15:00", 60.0).await;
    let refused = send_file(&desk, b"mobile,name\n0871000001,Ada\n", &[("body", "")]).await;
    assert_eq!(refused.status, 422);
    refused.shows("is kept.");
    // One that still waits for the importer is somebody's.
    let waits = desk.upload("/files", "waits.csv", b"mobile,name\n0871000002,Ben\n", &[]).await.location.unwrap();
    let import = [("use-0", "channel_id"), ("use-1", "data"), ("region", "IE")];
    assert_eq!(desk.fill_in(&format!("{waits}/import"), &import).await.status, 303);
    let forgotten = async || bugle::files::sweep::tick(&desk.app).await.unwrap();
    desk.at("2026-03-03 14:04");
    assert_eq!(forgotten().await, 0);
    desk.later(60);
    assert_eq!((forgotten().await, forgotten().await), (1, 0));
    assert_eq!(
        desk.number(&format!("SELECT file_id - (SELECT min(id) FROM files) AS n FROM schedule_runs WHERE id = {run}")),
        0
    );
    assert_eq!(
        desk.number("SELECT count(*) AS n FROM journal WHERE happened = 'file.forgotten' AND user_id IS NULL"),
        1
    );
}

#[actix_web::test]
async fn later_it_waits_for_its_time_with_the_end_it_was_given() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let later = [("when", "later"), ("date", "2026-03-02"), ("time", "16:30"), ("end", "17:00"), ("rate", "")];
    assert_eq!(send(&desk, &later).await.status, 303);
    desk.tick().await;
    assert!(desk.received().is_empty());
    let fits = "SELECT count(*) AS n FROM schedule_runs
                WHERE starts_at = '2026-03-02 16:30Z' AND ends_at = '2026-03-02 17:00Z' AND auto_rate";
    assert_eq!(desk.number(fits), 1);
    desk.at("2026-03-02 16:30");
    desk.tick().await;
    assert_eq!(desk.received().len(), 1);
}

#[actix_web::test]
async fn a_saved_list_is_sent_to() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    desk.file(&phones(3));
    desk.sql("INSERT INTO lists (name, kind, created_at) VALUES ('Staff', 'sms', now())");
    desk.sql("INSERT INTO list_members (list_id, contact_id, added_at) SELECT 1, id, now() FROM contacts");
    open(&desk).await.shows("Staff</option>");
    assert_eq!(send(&desk, &[("to", "list"), ("list", "1")]).await.status, 303);
    desk.later(3);
    desk.tick().await;
    assert_eq!(desk.received().len(), 3);

    desk.sql("INSERT INTO lists (name, kind, created_at) VALUES ('Nobody', 'sms', now())");
    let more = [
        ("to", "list"),
        ("list", "2"),
        ("name", "QuickTo nobody"),
        ("start_key", "0b9f3f34-6f4e-4f2e-9d6f-2b6f5f0f0f03"),
    ];
    let answer = send(&desk, &more).await;
    assert_eq!(answer.location.as_deref(), Some("/campaigns/2/edit#review"));
    desk.visit("/campaigns/2/edit").await.shows("Nobody is on the lists");
}

#[actix_web::test]
async fn it_needs_the_right_to_manage() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    desk.gives_the_admin_the_role(Role::Operator);
    assert_eq!(desk.visit("/campaigns/quick").await.status, 403);
    assert_eq!(send(&desk, &[]).await.status, 403);
    desk.visit("/campaigns").await.lacks("/campaigns/quick");
}

#[actix_web::test]
async fn of_numbers_with_two_readings_one_is_chosen_before_anything_leaves() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let german = [("numbers", "49331123456\n0331 123457"), ("region", "DE")];
    let checked = desk.fill_in_with_htmx("/campaigns/quick/check", &german).await;
    checked.shows("49331123456 could be <b class=\"num\">+49 331 123456</b> with its country code");
    checked.shows(r#"name="two_ways" value="leave_out" checked"#);
    let asked = send(&desk, &german).await;
    assert_eq!((asked.status, campaigns(&desk)), (422, 0));
    asked.shows("1 number could be read two ways and was left out.");
    let chosen = [&german[..], &[("two_ways", "inside")]].concat();
    assert_eq!(send(&desk, &chosen).await.status, 303);
    desk.run_until("2026-03-02 14:05:05").await;
    let mut phones: Vec<_> = desk.received().into_iter().map(|it| it.phone).collect();
    phones.sort();
    assert_eq!(phones, ["49331123457", "4949331123456"]);
}

#[actix_web::test]
async fn a_file_with_two_readings_is_read_again_as_chosen_and_shown_before_it_is_sent() {
    let desk = Desk::open_at("2026-03-02 14:05").await;
    let file = b"mobile,name\n49331123456,Anna\n49331123458,Ben\n";
    let asked = send_file(&desk, file, &[("region", "DE"), ("body", "Hi #name")]).await;
    assert_eq!((asked.status, campaigns(&desk)), (422, 0));
    asked.shows("2 numbers could be read two ways and were left out.");
    asked.lacks("Send to 0");
    let kept = [("to", "file"), ("kept", "1"), ("region", "DE"), ("body", "Hi #name"), ("two_ways", "with_code")];
    let again = send(&desk, &kept).await;
    assert_eq!((again.status, campaigns(&desk)), (422, 0), "what it has become is shown first");
    again.shows("2 numbers could be read two ways and were read with their country code in front.");
    again.shows("+49 331 123456, +49 331 123458");
    assert_eq!(send(&desk, &kept).await.status, 303);
    desk.run_until("2026-03-02 14:05:05").await;
    let mut bodies: Vec<_> = desk.received().into_iter().map(|it| format!("{} {}", it.phone, it.body)).collect();
    bodies.sort();
    assert_eq!(bodies, ["49331123456 Hi Anna", "49331123458 Hi Ben"]);
}
