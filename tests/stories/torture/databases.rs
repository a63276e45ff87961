//! The database beneath: connections cut, servers restarted, killed, frozen, full and late.

use std::process::Command;
use std::time::{Duration, Instant};

use rand::Rng;

use super::account::{Account, not_run};
use super::cable::Cable;
use super::house::{Campaign, House};
use super::program::Program;
use super::server::{Server, folder, give_away, url};
use super::{AGAIN, LEAVES, PATIENCE, PROMPT, chance, comes_true, nap, tries};

#[test]
fn connections_closed_at_random() {
    let (mut account, mut chance) = (Account::of("pg_terminate_backend at random, then PAUSE"), chance("cut"));
    let mut house = House::open(2);
    let cuts = tries(12, 80);
    let campaign = house.campaign(150 * cuts, 12_000.0);
    house.until_sent(50);
    for n in 0..cuts {
        nap(chance.random_range(50..500));
        let some = chance.random_range(1..12);
        house.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
             WHERE datname = 'bugle' AND pid <> pg_backend_pid() ORDER BY random() LIMIT {some}) those"
        ));
        match n % 3 {
            0 if 0 < house.unsent(campaign) => house.pauses_and_resumes(&mut account, n % 2, campaign, 100),
            _ => account.tries += 1,
        }
    }
    house.finish(&mut account, &[campaign]);
    house.settle_up(&mut account);
    account.close();
}

/// Thirty pages at once, so that every connection of the pool has been opened.
fn many_pages(house: &House) {
    std::thread::scope(|scope| {
        for n in 0..30 {
            let browser = house.browser(n % house.processes.len());
            scope.spawn(move || drop(browser.get("/campaigns", PATIENCE)));
        }
    });
}

/// Breaks the server while it is sending; then the first PAUSE must work, and sending go on by itself.
fn first_pause_after(account: &mut Account, tries: usize, mut breaks: impl FnMut(&mut Server)) {
    let mut house = House::open(2);
    let campaign = house.campaign(2_500 * tries, 12_000.0);
    house.until_sent(50);
    for n in 0..tries {
        many_pages(&house);
        breaks(&mut house.server);
        if n % 2 == 1 {
            house.goes_on(account, campaign, "restarted");
        }
        house.pauses_and_resumes(account, n % 2, campaign, 300);
        house.goes_on(account, campaign, "restarted and resumed");
        house.count_rows(account);
    }
    house.stills(account, 0, &format!("/schedules/{}/stop", campaign.schedule), PROMPT);
    ends(&house, account, campaign);
}

/// After a STOP: what was claimed gets its word, and all adds up.
fn ends(house: &House, account: &mut Account, campaign: Campaign) {
    let quiet = comes_true(AGAIN, || {
        house.sql("UPDATE leases SET expires_at = taken_at WHERE open > 0 AND taken_at < now() - interval '5 seconds'");
        house.open_leases() == 0
    });
    account.must(quiet, format!("{} of run {} are still on the wire", house.open_leases(), campaign.run));
    house.settle_up(account);
}

#[test]
fn restarted() {
    let mut account = Account::of("pg_ctl restart -m fast, 30 pages open, first PAUSE");
    first_pause_after(&mut account, tries(4, 50), Server::restart);
    account.close();
}

#[test]
fn postmaster_killed() {
    let mut account = Account::of("SIGKILL of the postmaster and restart, first PAUSE");
    first_pause_after(&mut account, tries(2, 15), |server| {
        server.kill();
        server.start();
    });
    account.close();
}

/// Presses PAUSE while the database cannot answer: there is an answer, and it is true.
fn pauses_in_vain(house: &mut House, account: &mut Account, campaign: Campaign) -> bool {
    let path = format!("/schedules/{}/pause", campaign.schedule);
    account.tries += 1;
    match house.browser(0).press(&path, PATIENCE) {
        Ok(answer) if answer.did_it() => {
            house.is_silent_from(answer.at, "PAUSE of a frozen database");
            account.took(answer.took);
            true
        }
        Ok(answer) => {
            account.took(answer.took);
            account.must(answer.status == 503, format!("PAUSE while nothing answers: {}", answer.status));
            false
        }
        Err(error) => {
            account.must(
                false,
                format!("PAUSE while nothing answers: no answer within {} s: {error}", PATIENCE.as_secs()),
            );
            false
        }
    }
}

fn is_ready(house: &House, n: usize) -> bool {
    house.browser(n).get("/readyz", PATIENCE).is_ok_and(|answer| answer.status == 200)
}

#[test]
fn server_frozen() {
    let mut account = Account::of("PostgreSQL frozen, PAUSE meanwhile, thawed");
    let mut house = House::open(2);
    let freezes = tries(2, 12);
    let campaign = house.campaign(3_000 * freezes, 12_000.0);
    house.until_sent(50);
    for n in 0..freezes {
        house.server.freeze();
        let began = Instant::now();
        let paused = pauses_in_vain(&mut house, &mut account, campaign);
        let noticed = comes_true(PATIENCE, || !is_ready(&house, n % 2));
        account.must(noticed, "/readyz says ready while the database is frozen");
        nap(8_000u64.saturating_sub(began.elapsed().as_millis() as u64));
        house.server.thaw();
        // A PAUSE that nobody was told of may hold, too.
        nap(500);
        if paused || house.number("SELECT count(*) AS n FROM schedules WHERE state = 'paused'") > 0 {
            house.resumes(&mut account, 1, &format!("/schedules/{}/resume", campaign.schedule));
        }
        house.goes_on(&mut account, campaign, "thawed");
        house.pauses_and_resumes(&mut account, n % 2, campaign, 300);
        let ready = comes_true(AGAIN, || is_ready(&house, n % 2));
        account.must(ready, "/readyz stays unready after the thaw");
    }
    house.server.freeze();
    account.tries += 1;
    let status = house.processes[0].leaves_within(LEAVES);
    account.must(status.is_some(), format!("SIGTERM: still there after {} s", LEAVES.as_secs()));
    house.server.thaw();
    house.processes.remove(0);
    house.stills(&mut account, 0, &format!("/schedules/{}/stop", campaign.schedule), PATIENCE);
    ends(&house, &mut account, campaign);
    account.close();
}

/// A house whose only process reaches the server through a cable.
fn on_a_cable() -> (House, Cable) {
    let mut house = House::open(0);
    let cable = Cable::to(house.server.address());
    let program = house.another(&url(cable.port, "bugle"), &[]);
    house.processes.push(program);
    (house, cable)
}

#[test]
fn cable_cut() {
    let (mut account, mut chance) =
        (Account::of("a cut cable: silent, closed, another server takes over"), chance("cable"));
    let (mut house, cable) = on_a_cable();
    let cuts = tries(3, 18);
    let campaign = house.campaign(4_000 * cuts, 12_000.0);
    house.until_sent(50);
    for n in 0..cuts {
        nap(chance.random_range(50..400));
        cable.cut();
        let began = Instant::now();
        let paused = pauses_in_vain(&mut house, &mut account, campaign);
        nap(6_000u64.saturating_sub(began.elapsed().as_millis() as u64));
        let after = match n % 3 {
            0 => {
                cable.abandon();
                "another server took over, the old one is mute for ever"
            }
            1 => {
                cable.hang_up();
                cable.mend();
                "every connection was closed"
            }
            _ => {
                cable.mend();
                "the cable was mended"
            }
        };
        nap(500);
        if paused || house.number("SELECT count(*) AS n FROM schedules WHERE state = 'paused'") > 0 {
            house.resumes(&mut account, 0, &format!("/schedules/{}/resume", campaign.schedule));
        }
        house.goes_on(&mut account, campaign, after);
        let path = format!("/schedules/{}/pause", campaign.schedule);
        let browser = house.browser(0);
        let pressed = comes_true(AGAIN, || browser.press(&path, PATIENCE).is_ok_and(|answer| answer.did_it()));
        account.must(pressed, format!("{after}: PAUSE was never done"));
        house.is_silent_from(chrono::Utc::now(), after);
        nap(300);
        house.resumes(&mut account, 0, &format!("/schedules/{}/resume", campaign.schedule));
    }
    house.stills(&mut account, 0, &format!("/schedules/{}/stop", campaign.schedule), PATIENCE);
    ends(&house, &mut account, campaign);
    account.close();
}

/// A small file system of its own, in memory.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(dir: std::path::PathBuf) -> Option<SmallDisk> {
        let options = "size=160m,mode=0755";
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&dir).output().ok()?;
        mounted.status.success().then(|| {
            give_away(&dir);
            SmallDisk(dir)
        })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn disk_full() {
    const FAULT: &str = "the disk of PostgreSQL full, then free again";
    let Some(disk) = SmallDisk::mount(folder("disk")) else {
        return not_run(FAULT, "a small disk cannot be mounted here (it takes root)");
    };
    let mut account = Account::of(FAULT);
    let mut house = House::open_in(disk.0.clone(), 0);
    // The log of what was written is elsewhere: without room for that the server itself would end.
    house.server.stop();
    let (inside, outside) = (house.server.data.join("pg_wal"), folder("wal").join("pg_wal"));
    assert!(Command::new("cp").arg("-a").arg(&inside).arg(&outside).status().unwrap().success());
    std::fs::remove_dir_all(&inside).unwrap();
    std::os::unix::fs::symlink(&outside, &inside).unwrap();
    house.server.start();
    house.serve();
    house.serve();
    let fulls = tries(1, 6);
    let campaign = house.campaign(6_000 * fulls, 24_000.0);
    let ballast = disk.0.join("ballast");
    for _ in 0..fulls {
        let before = house.sent();
        house.until_sent(before + 50);
        account.tries += 1;
        // What is there is filled again and again: vacuum gives some back.
        let (full, mut most, mut conn) = (Instant::now(), 0, house.conn());
        while full.elapsed() < Duration::from_secs(10) {
            fill(&ballast);
            most = most.max(House::open_leases_on(&mut conn));
            nap(200);
        }
        account
            .must(most <= 2 * 64, format!("{most} were claimed while nothing could be written down; at most 128 may"));
        std::fs::remove_file(&ballast).unwrap();
        house.goes_on(&mut account, campaign, "there is room again");
        house.pauses_and_resumes(&mut account, 0, campaign, 300);
    }
    house.finish(&mut account, &[campaign]);
    house.settle_up(&mut account);
    account.close();
    drop(house);
}

/// Writes until nothing fits any more.
fn fill(path: &std::path::Path) {
    use std::io::Write;
    let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
    for size in [1 << 20, 8 << 10] {
        let piece = vec![b'x'; size];
        while file.write_all(&piece).is_ok() {}
    }
}

#[test]
fn comes_up_late_and_empty() {
    let mut account = Account::of("a database that comes up late; two first starts at once");
    for _ in 0..tries(1, 6) {
        let mut server = Server::make(&folder("late"));
        {
            use diesel::{Connection, connection::SimpleConnection};
            let mut conn = diesel::PgConnection::establish(&server.url("postgres")).unwrap();
            conn.batch_execute("CREATE DATABASE bugle").unwrap();
        }
        let (url, dir) = (server.url("bugle"), folder("logs"));
        // Two first starts at once.
        account.tries += 1;
        let mut both = [0, 1].map(|_| Program::launch(&url, &dir, &[], &[]));
        for program in &mut both {
            let lives = program.listens_within(Duration::from_secs(60));
            account.must(lives, format!("of two that start at once on an empty database one died: {}", program.said()));
        }
        // One that is there before its database.
        account.tries += 1;
        let [_one, other] = both;
        drop(other);
        server.stop();
        let mut early = Program::launch(&url, &dir, &[], &[]);
        nap(3_000);
        server.start();
        let lives = early.listens_within(AGAIN);
        account.must(lives, format!("it did not wait for its database: {}", early.said()));
    }
    account.close();
}
