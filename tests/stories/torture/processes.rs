//! Processes of ours that are killed, frozen, and told to end.

use rand::Rng;

use super::account::Account;
use super::house::House;
use super::{LEAVES, PROMPT, chance, comes_true, nap, tries};

#[test]
fn killed_under_load() {
    let (mut account, mut chance) = (Account::of("kill -9 of a process under load"), chance("kill"));
    let mut house = House::open(2);
    let kills = tries(4, 40);
    let campaign = house.campaign(600 * kills, 12_000.0);
    house.until_sent(50);
    for _ in 0..kills {
        nap(chance.random_range(200..900));
        if house.unsent(campaign) == 0 {
            break;
        }
        house.replace(chance.random_range(0..2));
        account.tries += 1;
        house.count_rows(&mut account);
    }
    house.finish(&mut account, &[campaign]);
    house.settle_up(&mut account);
    account.close();
}

/// Freezes a process, best inside a transaction that it has begun.
fn freeze_in_claim(house: &House, n: usize, chance: &mut impl Rng) -> bool {
    for _ in 0..20 {
        house.processes[n].freeze();
        let caught =
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = 'bugle' AND usename = 'frozen'
                      AND state = 'idle in transaction' AND state_change < clock_timestamp() - interval '50 milliseconds'";
        nap(120);
        if house.number(caught) > 0 {
            return true;
        }
        house.processes[n].thaw();
        nap(chance.random_range(5..60));
    }
    house.processes[n].freeze();
    false
}

#[test]
fn frozen_inside_a_claim() {
    let (mut account, mut chance) = (Account::of("SIGSTOP of an engine, PAUSE elsewhere, SIGCONT"), chance("freeze"));
    let mut house = House::open(0);
    house.sql("CREATE ROLE frozen SUPERUSER LOGIN");
    let frozen = house.another(&house.server.url("bugle").replace("bugle@", "frozen@"), &[]);
    house.processes.push(frozen);
    house.serve();
    let freezes = tries(6, 40);
    let campaign = house.campaign(4_000 * freezes, 24_000.0);
    let (id, schedule) = (campaign.id, campaign.schedule);
    let (one, all) = (format!("/schedules/{schedule}"), format!("/campaigns/{id}"));
    house.until_sent(50);
    let mut caught = 0;
    for n in 0..freezes {
        caught += usize::from(freeze_in_claim(&house, 0, &mut chance));
        let (pause, resume) = match n % 3 {
            0 => (format!("{one}/pause"), format!("{one}/resume")),
            1 => (format!("{all}/pause"), format!("{all}/resume")),
            _ => ("/campaigns/pause-all".to_owned(), format!("{all}/resume")),
        };
        account.tries += 1;
        house.stills(&mut account, 1, &pause, PROMPT);
        house.processes[0].thaw();
        nap(1_500);
        house.resumes(&mut account, 1, &resume);
        house.goes_on(&mut account, campaign, "thawed");
    }
    freeze_in_claim(&house, 0, &mut chance);
    account.tries += 1;
    house.stills(&mut account, 1, &format!("{all}/stop"), PROMPT);
    house.processes[0].thaw();
    nap(1_500);
    comes_true(LEAVES, || house.open_leases() == 0);
    println!("  {caught} of {freezes} freezes came inside a transaction");
    house.settle_up(&mut account);
    account.close();
}

#[test]
fn told_to_end_in_mid_send() {
    let (mut account, mut chance) = (Account::of("SIGTERM in mid-send"), chance("terminate"));
    let mut house = House::open(1);
    let ends = tries(3, 25);
    let campaign = house.campaign(1_500 * ends, 24_000.0);
    for _ in 0..ends {
        let before = house.sent();
        house.until_sent(before + 30);
        nap(chance.random_range(0..400));
        account.tries += 1;
        let status = house.processes[0].leaves_within(LEAVES);
        account.must(status.is_some_and(|it| it.success()), format!("it ended with {status:?}"));
        let open = house.open_leases();
        account.must(open == 0, format!("{open} were left claimed"));
        let unknown = house.number("SELECT count(*) AS n FROM deliveries WHERE outcome = 14");
        account.must(unknown == 0, format!("{unknown} are unconfirmed"));
        house.replace(0);
    }
    house.stills(&mut account, 0, &format!("/campaigns/{}/stop", campaign.id), PROMPT);
    house.settle_up(&mut account);
    account.close();
}
