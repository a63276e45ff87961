//! A machine's clock that jumps, for the processes and not for the database.

use std::path::Path;

use super::account::{Account, not_run};
use super::house::House;
use super::server::folder;
use super::{AGAIN, comes_true, nap, tries};

const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

#[test]
fn clock_jumps() {
    const FAULT: &str = "the clock of a process jumps back and forward";
    let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).exists()) else {
        return not_run(FAULT, "there is no libfaketime (Debian: apt-get install faketime)");
    };
    let mut account = Account::of(FAULT);
    let mut house = House::open(0);
    let hands = folder("clock").join("offset");
    let path = hands.to_str().unwrap().to_owned();
    std::fs::write(&hands, "+0").unwrap();
    let variables = [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", &path),
        ("FAKETIME_NO_CACHE", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let url = house.server.url("bugle");
    let program = house.another(&url, &variables);
    house.processes.push(program);
    // What the carrier stamps is that clock, too: this one is the database's.
    house.sql("ALTER TABLE sandbox_messages ADD COLUMN seen_at timestamptz NOT NULL DEFAULT clock_timestamp()");
    let rate = 600;
    let campaign = house.campaign(6_000, rate as f64);
    house.until_sent(20);
    let jumps: &[i64] = if tries(0, 1) == 0 { &[-45, 0, 90] } else { &[-45, -600, 600, 0, 90, -45, 30, 0] };
    for jump in jumps {
        account.tries += 1;
        std::fs::write(&hands, format!("{jump:+}")).unwrap();
        nap(1_000);
        let before = house.sent();
        let went = comes_true(AGAIN, || before + 10 < house.sent());
        account.must(went, format!("the clock stands at {jump:+} s: nothing was sent for {} s", AGAIN.as_secs()));
        account.tries += 1;
        house.stills(&mut account, 0, &format!("/schedules/{}/pause", campaign.schedule), super::PROMPT);
        nap(300);
        let before = house.sent();
        nap(300);
        account.must(before == house.sent(), format!("the clock stands at {jump:+} s: sent while paused"));
        house.resumes(&mut account, 0, &format!("/schedules/{}/resume", campaign.schedule));
    }
    let most = house.number(
        "SELECT coalesce(max(n), 0)::bigint AS n FROM (SELECT count(*) OVER (ORDER BY seen_at
         RANGE BETWEEN '59 seconds' PRECEDING AND CURRENT ROW) AS n FROM sandbox_messages WHERE part IS NOT NULL) minutes",
    );
    account.must(most <= rate, format!("{most} of at most {rate} within a minute"));
    house.count_rows(&mut account);
    let twice =
        house.number("SELECT count(*) - count(DISTINCT phone) AS n FROM sandbox_messages WHERE part IS NOT NULL");
    account.must(twice == 0, format!("{twice} were sent to twice"));
    account.close();
}
