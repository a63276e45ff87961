//! Bugle's dispatch beside job queues that others built on PostgreSQL, which do as many jobs of nothing on the
//! same server.
//!
//! Each of them is a program under `benches/peers`, set up as its documentation recommends for speed, that is told
//! a database and a number of jobs: it queues them, has them done, and prints how many seconds the doing took.
//! The clock runs until the last job is recorded as done.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use bugle::engine::Engine;

use crate::dispatch::{self, By};
use crate::ground::{Ground, null};
use crate::table::{Row, Target};

/// Runs only when it is named: it needs npm, cargo and what they fetch.
pub const NAME: &str = "peers";

/// Installed from npm with a Node.js that fits it, and from crates.io.
const SCRIPTS: [(&str, &str); 2] = [
    ("graphile-worker (npm), 24 at once, batched", "graphile-worker.mjs"),
    ("pg-boss (npm), batches of 1,000", "pg-boss.mjs"),
];
const CRATE: (&str, &str) = ("graphile_worker (Rust), four local queues of 500", "graphile-worker-rs");

/// A job queue that is ready to run.
struct Peer {
    name: &'static str,
    /// Without its last two arguments: the database and the number of jobs.
    command: Vec<PathBuf>,
}

pub async fn peers(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (peers, n) = (ready()?, ground.size(200_000));
    let row = |peer: &Peer| {
        Row::new(format!("dispatch of {n} contacts, against {}", peer.name), "jobs/s", Target::AtLeast(1.0))
    };
    let mut rows: Vec<Row> = peers.iter().map(row).collect();
    if peers.is_empty() {
        return Ok(rows);
    }
    for round in 0..ground.rounds() {
        let (mut ours, mut theirs) = (0.0, vec![0.0; peers.len()]);
        // Each of them comes first once, and all find a database that nothing was done in yet.
        for turn in 0..=peers.len() {
            let side = (round + turn) % (peers.len() + 1);
            match peers.get(side) {
                Some(peer) => theirs[side] = peer.speed(&ground.database(&format!("peer_{side}_{round}"))?, n)?,
                None => ours = speed_of_bugle(ground, round, n).await?,
            }
        }
        for (row, theirs) in rows.iter_mut().zip(theirs) {
            row.add(ours, theirs);
        }
    }
    Ok(rows)
}

async fn speed_of_bugle(ground: &Ground, round: usize, n: usize) -> anyhow::Result<f64> {
    let house = ground.house(&format!("bugle_{round}"))?;
    let file = house.contacts(n)?;
    dispatch::speed(&house, &Engine::new(house.app(2000, null())?), file, n, By::Bugle).await
}

impl Peer {
    /// Jobs a second.
    fn speed(&self, database: &str, n: usize) -> anyhow::Result<f64> {
        let (program, args) = self.command.split_first().context("no program")?;
        let output = Command::new(program)
            .args(args)
            .args([uri(database)?, n.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.trim().parse::<f64>() {
            Ok(seconds) if output.status.success() => Ok(n as f64 / seconds),
            _ => anyhow::bail!("{} failed: {text}", self.name),
        }
    }
}

/// What libpq is told, in the words that clients without libpq understand as well.
fn uri(database: &str) -> anyhow::Result<String> {
    let said = |name: &str| {
        let value = database.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let value = value.with_context(|| format!("the database is told without its {name}"))?;
        anyhow::Ok(form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>())
    };
    Ok(format!("postgres://{}@localhost/{}?host={}", said("user")?, said("dbname")?, said("host")?))
}

/// Builds those that can be built here, and says which cannot, and why.
fn ready() -> anyhow::Result<Vec<Peer>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (from, to) = (root.join("benches/peers"), root.join("target/peers"));
    let mut peers = Vec::new();
    match install(&from, &to.join("npm"))? {
        Ok(node) => peers.extend(
            SCRIPTS.map(|(name, script)| Peer { name, command: vec![node.clone(), to.join("npm").join(script)] }),
        ),
        Err(why) => SCRIPTS.iter().for_each(|(name, _)| eprintln!("  Left out: {name}. {why}")),
    }
    let (name, package) = CRATE;
    match build(&from.join(package), &to.join("cargo")) {
        Ok(()) => peers.push(Peer { name, command: vec![to.join("cargo/release").join(package)] }),
        Err(why) => eprintln!("  Left out: {name}. {why}"),
    }
    Ok(peers)
}

/// The Node.js that runs the scripts, or why there is none. They look for packages beside themselves, so they are
/// copied to where those are.
fn install(from: &Path, to: &Path) -> anyhow::Result<Result<PathBuf, String>> {
    fs::create_dir_all(to)?;
    for name in ["package.json", "package-lock.json"].into_iter().chain(SCRIPTS.map(|(_, script)| script)) {
        fs::copy(from.join(name), to.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    // Which Node.js npm itself runs on does not matter: the packages get one of their own.
    let flags = ["install", "--no-audit", "--no-fund", "--no-save", "--loglevel=error", "--prefix"];
    Ok(run("npm", flags.map(OsStr::new).into_iter().chain([to.as_os_str()]))
        .map(|()| to.join("node_modules/.bin/node")))
}

/// Builds a package of its own, with its own versions.
fn build(package: &Path, to: &Path) -> Result<(), String> {
    let (manifest, flags) = (package.join("Cargo.toml"), ["build", "--release", "--locked", "--quiet"]);
    let places = ["--manifest-path".as_ref(), manifest.as_os_str(), "--target-dir".as_ref(), to.as_os_str()];
    run("cargo", flags.map(OsStr::new).into_iter().chain(places))
}

/// Runs it to its end, or tells why that was not possible.
fn run<'a>(program: &str, args: impl IntoIterator<Item = &'a OsStr>) -> Result<(), String> {
    let output = match Command::new(program).args(args).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(format!("There is no {program} here.")),
        Err(error) => return Err(format!("{program} cannot be started: {error}.")),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} failed, perhaps for want of a network. It said:\n{}", said.trim()))
}
