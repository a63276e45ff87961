//! From an upload to an audience.

use std::fmt::Write as _;
use std::time::Instant;

use bugle::contacts::addresses::TwoWays;
use bugle::files;
use bugle::files::domain::Mapping;
use bugle::providers::Kind;
use chrono::Utc;

use crate::child;
use crate::ground::{Ground, null};
use crate::table::{Row, Target};

/// A CSV that is read, validated and deduplicated, against its bare COPY and one upsert.
pub async fn import(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("import")?, ground.size(1_000_000));
    let app = house.app(64, null())?;
    let (csv, path) = (csv(n), ground.file("people.csv"));
    std::fs::write(&path, &csv)?;
    let mut rate = Row::new(format!("import of a CSV of {n} rows"), "rows/s", Target::AtLeast(0.5));
    let mut memory = Row::new("… memory of its process at most", "MB", Target::Below(150.0));
    for round in 0..ground.rounds() {
        let mut figures = [0.0; 2];
        for side in [round % 2, 1 - round % 2] {
            house.sql("TRUNCATE contacts, file_rows, files CASCADE; CHECKPOINT")?;
            let seconds = if side == 0 {
                let now = Utc::now();
                let id = files::upload::receive_bytes(&app, "people.csv", csv.as_bytes(), Kind::Sms, house.admin, now)?;
                let conn = &mut house.conn()?;
                let head = files::store::find(conn, id)?.head;
                let mapping = Mapping::guess(&head.headers, &head.sample);
                files::actions::import(conn, id, mapping, "GB".to_owned(), TwoWays::LeaveOut, house.admin, now)?;
                let told = child::run("import", &house.url)?;
                let good = house.number("SELECT rows_good AS n FROM files WHERE state = 'imported'")?;
                anyhow::ensure!(good > n as i64 * 98 / 100, "only {good} rows were good");
                memory.add_alone(told.peak_mb);
                told.seconds
            } else {
                let began = Instant::now();
                house.sql(&format!(
                    "CREATE UNLOGGED TABLE staging (phone text, name text, city text, balance text);
                     COPY staging FROM '{}' (FORMAT csv, HEADER)",
                    path.display()
                ))?;
                house.sql(
                    "INSERT INTO contacts (kind, address) SELECT 'sms', phone FROM staging ON CONFLICT (kind, address) DO NOTHING",
                )?;
                let seconds = began.elapsed().as_secs_f64();
                house.sql("DROP TABLE staging")?;
                seconds
            };
            figures[side] = n as f64 / seconds;
        }
        rate.add(figures[0], figures[1]);
    }
    Ok(vec![rate, memory])
}

/// One row in two hundred repeats the one before, another one has no number in it.
fn csv(n: usize) -> String {
    let mut csv = String::from("phone,name,city,balance\n");
    for i in 0..n {
        let number = if i % 200 == 100 { i - 1 } else { i };
        let _ = match i % 200 {
            150 => writeln!(csv, "none,Name {i},Leeds,{i}"),
            _ => writeln!(csv, "07400{number:06},Name {i},Leeds,{i}"),
        };
    }
    csv
}
