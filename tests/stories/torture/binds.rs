//! A bind to an SMSC over TLS, held by a process that is killed, and what phones really got.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bugle::channels::domain::{ChannelSetup, Own};
use bugle::deliveries::Outcome;
use bugle::ids::RunId;
use bugle::keyring::Keyring;
use bugle::providers::Kind;
use bugle::providers::credentials::Credentials;
use bugle::providers::smpp::SmppSettings;
use chrono::Utc;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, SmallInt, Text};
use rand::Rng;

use super::account::Account;
use super::house::House;
use super::program::Program;
use super::{chance, comes_true, nap, tries};
use crate::smpp::{Reply, Smsc, tls_before};

/// A house whose campaigns go by a bind to this port, which speaks TLS.
fn house_bound_to(port: u16) -> House {
    let mut house = House::open(0);
    let settings =
        SmppSettings { host: "127.0.0.1".into(), port, tls: true, system_id: "bugle".into(), ..Default::default() };
    let setup = ChannelSetup {
        name: "Operator".into(),
        sender: "Bugle".into(),
        per_minute: None,
        own: Own::Smpp(settings),
        typed: Credentials::default(),
    };
    let (admin, conn) = (house.admin, &mut house.conn());
    house.channel =
        bugle::channels::actions::add(conn, Kind::Sms, &setup, &Keyring::default(), admin, Utc::now()).unwrap();
    house
}

/// One more process, which believes the certificate that the SMSC shows.
fn another(house: &mut House) -> Program {
    let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls/authority.pem");
    let variables = [("BUGLE_INTERNAL_GATEWAYS", "127.0.0.0/8"), ("SSL_CERT_FILE", authority.to_str().unwrap())];
    let url = house.server.url("bugle");
    house.another(&url, &variables)
}

#[test]
fn the_holder_of_a_bind_is_killed_and_another_takes_it_over() {
    let (mut account, mut chance) = (Account::of("bind over TLS, its holder killed"), chance("binds"));
    let smsc = Smsc::open();
    let mut n_taken = 0;
    smsc.replies(move |_| {
        n_taken += 1;
        Reply::TakesAndTells(n_taken.to_string(), n_taken.to_string())
    });
    let mut house = house_bound_to(tls_before(smsc.port));
    let holder = another(&mut house);
    house.processes.push(holder);
    account.must(comes_true(Duration::from_secs(30), || smsc.n_binds() == 1), "nobody bound over TLS");
    let waits = another(&mut house);
    house.processes.push(waits);

    let n = tries(2_000, 20_000);
    let campaign = house.campaign(n, 30_000.0);
    let there = comes_true(Duration::from_secs(60), || smsc.n_messages() >= n / 4);
    account.must(there, format!("only {} were sent", smsc.n_messages()));
    nap(chance.random_range(0..200));
    account.must(smsc.n_binds() == 1, "two processes were bound at once");
    house.processes.remove(0).kill();
    account.tries += 1;
    let taken_over = comes_true(Duration::from_secs(30), || smsc.n_binds() == 2);
    account.must(taken_over, "nobody took the bind over");
    house.finish(&mut account, &[campaign]);

    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        address: String,
        #[diesel(sql_type = Nullable<SmallInt>)]
        outcome: Option<i16>,
        #[diesel(sql_type = Nullable<SmallInt>)]
        progress: Option<i16>,
    }
    let mut copies: HashMap<String, usize> = HashMap::new();
    smsc.messages().into_iter().for_each(|it| *copies.entry(it.to.address).or_default() += 1);
    let RunId(run) = campaign.run;
    let ask = format!("SELECT address, outcome, progress FROM deliveries WHERE run_id = {run}");
    let rows: Vec<Row> = diesel::sql_query(ask).load(&mut house.conn()).unwrap();
    account.must(rows.len() == n, "some are missing");
    let mut unconfirmed = 0;
    for Row { address, outcome, progress } in rows {
        let (got, is) = (copies.get(&address).copied().unwrap_or_default(), outcome.and_then(Outcome::of_code));
        let right = match is {
            Some(Outcome::Delivered) => got == 1,
            Some(Outcome::Unconfirmed) => got <= 1,
            None => got == 1 && progress.is_some(),
            Some(_) => false,
        };
        account.must(right, format!("{address} got {got}, and the ledger says {is:?}"));
        unconfirmed += usize::from(is == Some(Outcome::Unconfirmed));
    }
    account.must(unconfirmed < n / 10, format!("{unconfirmed} are unconfirmed: more than were on the wire"));
    house.count_rows(&mut account);
    account.close();
}
