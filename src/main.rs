//! The command line: parses arguments, starts things, and stops them in order.

#![cfg_attr(not(test), deny(clippy::string_slice))]

mod halting;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::cookie::Key;
use actix_web::web::Data;
use anyhow::{Context, Result, anyhow, bail};
use bugle::access::Role;
use bugle::app::{App, DemoProgress, Pulse};
use bugle::clock::Clock;
use bugle::config::{Network, Settings};
use bugle::db::embedded::{Durability, Private, Watch};
use bugle::db::reach::reach;
use bugle::db::url::with_deadlines;
use bugle::db::{self, Db, Purpose};
use bugle::doors::Doors;
use bugle::engine::metronome::Metronome;
use bugle::engine::{Engine, timekeeper, watcher};
use bugle::keyring::Keyring;
use bugle::marks::{self, Marks};
use bugle::people::domain::NewUser;
use bugle::people::{self, first_password};
use bugle::privileges::{self, Account};
use bugle::sandbox::carrier;
use bugle::screen::live::Hub;
use bugle::web::tell_of_panics;
use bugle::webchat::lobby::Lobby;
use bugle::{demo, files, installation, server};
use chrono_tz::Tz;
use clap::{Args, Parser, Subcommand, ValueEnum};
use halting::Halt;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

use bugle::access::Actor;

use bugle::channels;

/// Connections, and as many threads, for PAUSE, RESUME, STOP and for knowing who asks.
const VITAL_CONNECTIONS: u32 = 6;

/// Bugle: campaigns over SMS and chat that can be paused, resumed and stopped at
/// any second.
///
/// Without a command it serves, on a private PostgreSQL of its own under ./data,
/// with a demo to look at. Every flag can also be given as a BUGLE_* variable.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Serve pages and run campaigns (this is what `bugle` alone does)
    Serve(ServeArgs),
    /// Bring the database up to date and stop; `serve` does this by itself
    Migrate,
    /// Put all credentials under the newest key
    Reseal(ResealArgs),
    /// Write the demo into an empty installation
    Seed,
    /// Pause every campaign, also when the pages do not answer
    PauseAll(HaltArgs),
    /// STOP every campaign for good, also when the pages do not answer
    StopAll(HaltArgs),
    /// Add people, or give them a new password
    #[command(subcommand)]
    User(UserCommand),
    /// Started by Bugle itself, confined: read the workbook on standard input
    #[command(hide = true)]
    ReadWorkbook {
        format: String,
        size: u64,
        #[arg(default_value_t = 0)]
        sheet: usize,
    },
}

#[derive(Args)]
struct ResealArgs {
    /// Make a new key first, in the file of the keys, and take the old ones out of it afterwards
    #[arg(long)]
    new_key: bool,
}

#[derive(Args)]
struct HaltArgs {
    /// Do not ask for the word to be typed
    #[arg(long)]
    yes: bool,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Add somebody; the password is read from standard input
    Add {
        /// E-mail address to sign in with
        email: String,
        /// Name as the others see it
        #[arg(long)]
        name: String,
        /// What they may do
        #[arg(long, value_enum, default_value_t = RoleArg::Viewer)]
        role: RoleArg,
    },
    /// Set a new password, read from standard input, and sign them out everywhere
    Passwd {
        /// E-mail address of the person
        email: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleArg {
    /// May look at everything
    Viewer,
    /// May also upload, pause and resume, answer people, and block addresses
    Operator,
    /// May also create, edit, launch and stop campaigns, take addresses off the blocklist, and change filters
    Manager,
    /// May do everything, STOP of everything included
    Admin,
}

#[derive(Args)]
struct DatabaseArgs {
    /// PostgreSQL to use, such as postgres://bugle@db/bugle; without it Bugle runs a private one
    #[arg(long, env = "DATABASE_URL", global = true, hide_env_values = true)]
    database_url: Option<String>,
    /// Folder for the private PostgreSQL [default: ./data, or /var/lib/bugle for root where ./data cannot serve],
    /// and for the mark, which notices an older state of any database [default with a database: /var/lib/bugle for
    /// root, ~/.local/state/bugle for others]
    #[arg(long, env = "BUGLE_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Let the connection to a database on another machine go unencrypted
    #[arg(long, env = "BUGLE_PLAINTEXT_DATABASE", global = true)]
    plaintext_database: bool,
    /// Keys under which credentials of channels are kept, one a line, the newest first
    /// [default: the credential bugle-secret-key of the service, or secret-key in the folder of the installation]
    #[arg(long, env = "BUGLE_SECRET_KEY_FILE", global = true, value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
    /// The same keys themselves: 64 hexadecimal digits each
    #[arg(long, env = "BUGLE_SECRET_KEY", global = true, hide_env_values = true, conflicts_with = "secret_key_file")]
    secret_key: Option<String>,
    /// Seconds to wait for a database that is not up yet
    #[arg(long, env = "BUGLE_WAIT", global = true, value_name = "SECONDS", default_value_t = 30)]
    wait: u16,
    /// Account that root steps down to; root stays root [default: postgres, or else nobody]
    #[arg(long, env = "BUGLE_RUN_AS", global = true, value_name = "ACCOUNT")]
    run_as: Option<String>,
}

#[derive(Args)]
struct ServeArgs {
    /// Address to listen on
    #[arg(long, env = "BUGLE_LISTEN", default_value = "127.0.0.1")]
    listen: std::net::IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, env = "BUGLE_PORT", default_value_t = 8080)]
    port: u16,
    /// Address that browsers use, such as https://bugle.example.org; set it behind a proxy
    #[arg(long, env = "BUGLE_PUBLIC_URL", value_parser = public_url)]
    public_url: Option<String>,
    /// Proxy whose X-Forwarded-For is believed, as 192.0.2.7 or 10.0.0.0/8; may be repeated
    /// [default: those on this machine and in private networks]
    #[arg(long, env = "BUGLE_TRUSTED_PROXY", value_delimiter = ',', requires = "public_url")]
    trusted_proxy: Vec<Network>,
    /// Network of ours in which a channel's gateway may stand, as 127.0.0.0/8; may be repeated [default: none]
    #[arg(long, env = "BUGLE_INTERNAL_GATEWAYS", value_delimiter = ',')]
    internal_gateways: Vec<Network>,
    /// Let everybody read /metrics, not only this machine
    #[arg(long, env = "BUGLE_OPEN_METRICS")]
    open_metrics: bool,
    /// IANA time zone that new campaigns start with [default: this machine's]
    #[arg(long, env = "BUGLE_TIME_ZONE")]
    time_zone: Option<Tz>,
    /// Where the sandbox's carrier keeps its books, if not in the database of the product: then they
    /// bear witness to what phones got whatever happens to it
    #[arg(long, env = "BUGLE_SANDBOX_DATABASE_URL", hide_env_values = true)]
    sandbox_database_url: Option<String>,
    /// Most sends claimed and not written down at once, for each channel and process
    #[arg(long, env = "BUGLE_IN_FLIGHT", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: u16,
    /// Most database connections for pages, and as many again for campaigns
    #[arg(long, env = "BUGLE_DATABASE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(4..=500))]
    database_connections: u32,
    /// Threads that answer pages
    #[arg(long, env = "BUGLE_WORKERS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Do one half only: pages, or campaigns
    #[arg(long, env = "BUGLE_ONLY", value_enum)]
    only: Option<Half>,
    /// What an empty installation starts with [default: story on the private PostgreSQL, none elsewhere]
    #[arg(long, env = "BUGLE_DEMO", value_enum)]
    demo: Option<Demo>,
    /// Folder with style sheets and scripts [default: the one beside the source, or ./static]
    #[arg(long, env = "BUGLE_STATIC_DIR")]
    static_dir: Option<PathBuf>,
    /// Write logs as JSON, one object a line
    #[arg(long, env = "BUGLE_LOG_JSON")]
    log_json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Half {
    /// Answer browsers; leave running campaigns to others
    Web,
    /// Run campaigns; answer only /healthz, /readyz and /metrics
    Engine,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Demo {
    /// A few campaigns that tell a story, one of them sending
    Story,
    /// Nothing
    None,
}

fn public_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    match url.strip_prefix("https://").or(url.strip_prefix("http://")) {
        Some(host) if !host.is_empty() && !host.contains('/') => Ok(url.to_owned()),
        _ => Err("write scheme and host, such as https://bugle.example.org".to_owned()),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::ReadWorkbook { format, size, sheet }) = &cli.command {
        return files::workbook::read(format, *size, *sheet);
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // For the person at the terminal: what went wrong, without the way it took.
        Err(error) => {
            eprintln!("bugle: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let command = match cli.command {
        Some(command) => command,
        None => Command::Serve(ServeArgs::parse_default()?),
    };
    log(matches!(&command, Command::Serve(args) if args.log_json));
    let database = cli.database;
    let dir = database.data_dir.clone().unwrap_or_else(default_data_dir);
    match command {
        Command::Serve(mut args) => {
            // Some ports are only root's to take.
            let port = take_port(&args)?;
            args.static_dir = Some(within_reach(&database, &dir, static_dir(&args))?);
            announce(port.local_addr()?, &args, &database, &dir);
            let place = Place::open(&database, dir)?;
            println!("Bringing the database up to date…");
            bring_up_to_date(&place)?;
            let runtime = runtime()?;
            let served = runtime.block_on(serve(&place, args, port));
            // A thread that is stuck in the database keeps nobody from leaving.
            runtime.shutdown_timeout(Duration::from_secs(2));
            served
        }
        Command::Migrate => {
            bring_up_to_date(&Place::open(&database, dir)?)?;
            println!("The database is up to date.");
            Ok(())
        }
        Command::Reseal(args) => {
            let place = Place::open(&database, dir)?;
            bring_up_to_date(&place)?;
            reseal(&place, args.new_key)
        }
        Command::Seed => {
            let place = Place::open(&database, dir)?;
            bring_up_to_date(&place)?;
            runtime()?.block_on(seed(&place))
        }
        // Not brought up to date first: what hangs there must not keep these waiting.
        Command::PauseAll(args) => halting::halt(Halt::Pause, args.yes, || Place::find(&database, dir)),
        Command::StopAll(args) => halting::halt(Halt::Stop, args.yes, || Place::find(&database, dir)),
        Command::User(command) => {
            let place = Place::open(&database, dir)?;
            bring_up_to_date(&place)?;
            user(&place, command)
        }
        Command::ReadWorkbook { .. } => bail!("this is answered before anything is opened"),
    }
    // The place goes last: it stops the private server.
}

fn bring_up_to_date(place: &Place) -> Result<()> {
    db::migrate(&place.url).context("the database could not be brought up to date")
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// The port, taken while we may still take any. Nobody is let in before [`serve`] listens.
fn take_port(args: &ServeArgs) -> Result<TcpSocket> {
    let address = SocketAddr::new(args.listen, args.port);
    let take = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        std::io::Result::Ok(socket)
    };
    take().with_context(|| format!("cannot listen on {address}; choose another port with --port"))
}

/// Hands what we work with to an account without privileges and becomes it, where we are root.
fn step_down(args: &DatabaseArgs, dir: &Path, marks: &Path) -> Result<()> {
    privileges::gain_none();
    let Some(account) = account(args)? else { return Ok(()) };
    match args.database_url {
        None => db::embedded::hand_over(dir, &account)?,
        // Where no mark can be kept, whoever opens it says so.
        Some(_) => drop(std::fs::create_dir_all(marks).and_then(|()| account.give(marks))),
    }
    account.step_down()
}

fn account(args: &DatabaseArgs) -> Result<Option<Account>> {
    match args.run_as.as_deref() {
        Some("root") => Ok(None),
        named => privileges::account(named),
    }
}

/// The folder `shown` where the account that root steps down to gets at it: beside the source in
/// root's closed home it does not, so that the data folder is given a copy.
fn within_reach(args: &DatabaseArgs, dir: &Path, shown: PathBuf) -> Result<PathBuf> {
    let is_closed = |whole: PathBuf| !whole.ancestors().all(privileges::is_searchable);
    match account(args)? {
        Some(account) if shown.canonicalize().is_ok_and(is_closed) => {
            let copy = dir.join("static");
            copy_folder(&shown, &copy).with_context(|| format!("cannot copy {}", shown.display()))?;
            account.give(&copy)?;
            Ok(copy)
        }
        Some(_) | None => Ok(shown),
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (entry, copy) = entry.map(|it| (it.path(), to.join(it.file_name())))?;
        if entry.is_dir() { copy_folder(&entry, &copy)? } else { std::fs::copy(&entry, &copy).map(drop)? }
    }
    Ok(())
}

impl ServeArgs {
    /// As `bugle serve` without flags: variables still count.
    fn parse_default() -> Result<Self> {
        match Cli::parse_from(["bugle", "serve"]).command {
            Some(Command::Serve(args)) => Ok(args),
            _ => bail!("no such command"),
        }
    }
}

fn log(json: bool) {
    let filter =
        EnvFilter::try_from_env("BUGLE_LOG").unwrap_or_else(|_| EnvFilter::new("warn,bugle=info,actix_http=off"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        log.json().init()
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).init()
    }
    tell_of_panics();
}

/// The database of this installation, with its server when that is our own.
struct Place {
    url: String,
    /// Where what is ours alone may be kept; `None` with a database of somebody else's.
    dir: Option<PathBuf>,
    /// Where the mark is kept, outside of the database.
    marks: PathBuf,
    keyring: Keyring,
    server: Option<Private>,
}

impl Place {
    /// The database, waited for while it comes up; the private one is made when it is missing.
    fn open(args: &DatabaseArgs, dir: PathBuf) -> Result<Self> {
        let marks = match &args.database_url {
            Some(_) => args.data_dir.clone().unwrap_or_else(default_state_dir).join("marks"),
            None => dir.join("marks"),
        };
        step_down(args, &dir, &marks)?;
        let keyring = keyring(args, marks.parent().unwrap_or(&dir))?;
        let place = match &args.database_url {
            Some(url) => {
                let url = db::conninfo::settle(url, args.plaintext_database)?;
                Self { url: with_deadlines(&url), dir: None, marks, keyring, server: None }
            }
            None => {
                let server = Private::start(&dir, Durability::Full)?;
                server.create_database("bugle")?;
                Self { url: with_deadlines(&server.url("bugle")), dir: Some(dir), marks, keyring, server: Some(server) }
            }
        };
        reach(&place.url, Duration::from_secs(args.wait.into())).context("cannot reach the database")?;
        Ok(place)
    }

    /// The same, of an installation that must be there already.
    fn find(args: &DatabaseArgs, dir: PathBuf) -> Result<Self> {
        if args.database_url.is_none() && !dir.join("postgres").is_dir() {
            bail!("no installation lies in {}; say where it is with --data-dir or DATABASE_URL", dir.display());
        }
        Self::open(args, dir)
    }

    fn first_password(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join("first-password"))
    }

    /// What is known to have been written down from before this start.
    async fn open_marks(&self, db: &Db) -> Result<Marks> {
        let installation = db.run(marks::store::name_of_installation).await?;
        Ok(Marks::open(&self.marks, &installation).unwrap_or_else(|error| {
            tracing::warn!(
                "no mark can be kept in {}: {error}. Started on an older state of its database, Bugle would not notice and send again; \
                 say where the mark may be kept with --data-dir",
                self.marks.display()
            );
            Marks::default()
        }))
    }
}

/// The keys that credentials of channels are kept under: those that were given, or one that is made once beside what
/// else is ours alone. Where none can be kept, channels that need credentials cannot be added.
fn keyring(args: &DatabaseArgs, dir: &Path) -> Result<Keyring> {
    if let Some(text) = &args.secret_key {
        return Keyring::of_text(text).map_err(|what| anyhow!("BUGLE_SECRET_KEY: {what}"));
    }
    let given = std::env::var_os("CREDENTIALS_DIRECTORY").map(|dir| Path::new(&dir).join("bugle-secret-key"));
    let given = args.secret_key_file.clone().or(given.filter(|path| path.is_file()));
    if let Some(path) = given {
        return Keyring::of_file(&path).with_context(|| format!("the keys in {}", path.display()));
    }
    let path = dir.join("secret-key");
    let kept = std::fs::create_dir_all(dir).and_then(|()| Keyring::of_file_or_new(&path));
    match kept {
        Ok(keyring) => Ok(keyring),
        Err(error) if args.database_url.is_some() => {
            tracing::warn!(
                "no key can be kept in {}: {error}. Channels that need credentials cannot be added; say where a key \
                 lies with --secret-key-file",
                path.display()
            );
            Ok(Keyring::default())
        }
        Err(error) => Err(error).with_context(|| format!("the key in {}", path.display())),
    }
}

fn reseal(place: &Place, new_key: bool) -> Result<()> {
    if new_key {
        place.keyring.renew().context("no new key could be made")?;
    }
    let db = Db::connect(&place.url, 1)?;
    let n = channels::actions::reseal(&mut *db.lend()?, &place.keyring).map_err(|error| anyhow!("{error}"))?;
    if new_key {
        place.keyring.forget_old().context("the old keys could not be taken out of the file")?;
    }
    println!("The credentials of {n} channels are under the newest key now.");
    Ok(())
}

/// Where a service keeps what must outlive it.
fn default_state_dir() -> PathBuf {
    let named = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    // SAFETY: geteuid cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    named("STATE_DIRECTORY")
        .or(root.then(|| PathBuf::from("/var/lib/bugle")))
        .or(named("XDG_STATE_HOME").map(|dir| dir.join("bugle")))
        .or(named("HOME").map(|dir| dir.join(".local/state/bugle")))
        .unwrap_or_else(|| PathBuf::from("data"))
}

/// ./data; for root only where it could be handed to an account without privileges.
fn default_data_dir() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    match privileges::is_root() && !here.ancestors().all(privileges::is_searchable) {
        true => PathBuf::from("/var/lib/bugle"),
        false => PathBuf::from("data"),
    }
}

async fn serve(place: &Place, args: ServeArgs, port: TcpSocket) -> Result<()> {
    let told_to_stop = told_to_stop();
    let settings = settings(place, &args)?;
    let clock = Clock::default();
    let db = Db::connect(&place.url, args.database_connections).context("cannot reach the database")?;
    // Whatever else goes on, a click on PAUSE finds a connection and a thread.
    let vital = db.beside(Purpose::Vital, VITAL_CONNECTIONS)?;
    // The carrier writes its books beside the product, never in a queue behind it.
    let beside = db.beside(Purpose::Engine, args.database_connections.div_ceil(4))?;
    let elsewhere = match &args.sandbox_database_url {
        Some(url) => {
            db::migrate(url).context("the database of the sandbox could not be brought up to date")?;
            Some(Db::connect(url, args.database_connections.div_ceil(2))?)
        }
        None => None,
    };
    let providers = carrier::providers(&beside, elsewhere.as_ref().unwrap_or(&beside), &clock, &settings);
    let app = Data::new(App {
        db: db.clone(),
        vital,
        clock: clock.clone(),
        settings,
        books: elsewhere.clone().unwrap_or_else(|| db.clone()),
        providers,
        marks: Arc::new(place.open_marks(&db).await?),
        said: Arc::default(),
        turns: Arc::default(),
        pulse: Arc::default(),
    });

    // Before anything is planned, or claimed by this process.
    watcher::tick(&app).await?;
    if app.settings.several_hosts && app.db.run(db::confirms_alone).await? {
        tracing::warn!(
            "the address names several database servers, and this one confirms what the others do not have yet: \
             when one of them takes over, history is lost; set synchronous_standby_names"
        );
    }
    let story = match args.demo {
        None => place.dir.is_some(),
        Some(demo) => demo == Demo::Story,
    };
    let sign_in = first_person(&app).await?;
    if let [(name, provider), ..] = app.db.run(channels::setups::of_unknown_providers).await?.as_slice() {
        bail!(
            "the channel “{name}” is of the provider “{provider}”, which this version of Bugle does not know. Start the \
             version that the channel was made with."
        );
    }
    app.db.run(move |conn| channels::actions::ensure_channel(conn, clock.now())).await?;
    // The engine has connections of its own: a busy campaign never keeps a click on PAUSE waiting.
    let engine_db = db.beside(Purpose::Engine, args.database_connections)?;
    let engine = Data::new(App {
        books: elsewhere.unwrap_or_else(|| engine_db.clone()),
        db: engine_db,
        vital: app.vital.clone(),
        clock: app.clock.clone(),
        settings: app.settings.clone(),
        providers: app.providers.clone(),
        marks: app.marks.clone(),
        said: app.said.clone(),
        turns: app.turns.clone(),
        pulse: app.pulse.clone(),
    });
    let hub = Hub::start(app.clone());
    let lobby = Lobby::start(app.clone());
    let measures = PrometheusBuilder::new().install_recorder().map_err(|error| anyhow!(error))?;
    let key = Key::from(&app.db.run(installation::cookie_key).await?);
    // The database is asked by pages, the engine and the carrier, and once more with a connection of its own.
    let databases = 4 * args.database_connections + VITAL_CONNECTIONS;
    let doors = Doors::open(app.settings.clone(), databases as usize);
    hub.limit_to(doors.connections / 4);
    lobby.limit_to(doors.connections / 4);
    let address = port.local_addr()?;
    let server = {
        let (app, measures, hub, lobby) = (app.clone(), measures.clone(), hub.clone(), lobby.clone());
        actix_web::HttpServer::new(move || {
            server::app(app.clone(), key.clone())
                .app_data(Data::new(Some(measures.clone())))
                .app_data(hub.clone())
                .app_data(lobby.clone())
        })
    };
    let server = server
        .workers(args.workers.into())
        .max_connections((doors.connections / usize::from(args.workers)).max(1))
        .on_connect(doors.keep())
        .worker_max_blocking_threads(args.database_connections as usize)
        .shutdown_timeout(10)
        .disable_signals()
        .listen(port.listen(1024).with_context(|| format!("cannot listen on {address}"))?.into_std()?)?;
    // Nobody is told that it is ready before that is known.
    app.pulse.demo_is_at(Some(DemoProgress::Awaited));
    let server = server.run();
    let handle = server.handle();
    let server = tokio::spawn(server);

    tokio::spawn(timekeeper::keep(app.get_ref().clone()));
    greet(address, &app.settings, sign_in.as_deref());
    let mut told_to_stop = pin!(told_to_stop);
    let mut demo = pin!(demo::open(&app, story));
    let stops = tokio::select! {
        () = &mut demo => false,
        () = &mut told_to_stop => true,
    };
    if stops {
        tracing::info!("stopping when the demo is whole; once more to stop at once");
        tokio::spawn(leave_at_once());
        demo.await;
    }
    let engine = Engine::new(engine);
    let mut metronome = Metronome::default();
    if args.only != Some(Half::Web) {
        engine.start(&mut metronome);
    }
    Engine::keep_house(&engine.app, &mut metronome);
    metronome.add("*/5 * * * * *", "upkeep", move || {
        measures.run_upkeep();
        std::future::ready(Ok(()))
    });
    metronome.start().await?;

    if let Some(watch) = place.server.as_ref().map(Private::watch) {
        tokio::spawn(warn_when_outdated(watch, app.pulse.clone()));
    }
    let stop = async {
        if !stops {
            told_to_stop.await;
        }
        tracing::info!("stopping: no new sends, waiting for those on the wire");
        engine.hold();
        metronome.stop();
        // Open streams would hold the server back for its whole patience.
        hub.stop();
        lobby.stop();
        tokio::spawn(leave_at_once());
        tokio::join!(handle.stop(true), engine.shut_down());
    };
    let (served, ()) = tokio::join!(server, stop);
    served??;
    let marks = app.marks.clone();
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || marks.write()).await {
        tracing::error!("the mark could not be written: {error}");
    }
    tracing::info!("stopped");
    Ok(())
}

fn static_dir(args: &ServeArgs) -> PathBuf {
    args.static_dir.clone().unwrap_or_else(|| Settings::default().static_dir)
}

fn settings(place: &Place, args: &ServeArgs) -> Result<Settings> {
    let defaults = Settings::default();
    let here = iana_time_zone::get_timezone().ok().and_then(|name| name.parse().ok());
    let static_dir = static_dir(args);
    if !static_dir.join("css").is_dir() {
        bail!("{} holds no style sheets; say where they are with --static-dir", static_dir.display());
    }
    Ok(Settings {
        secure_cookies: args.public_url.as_ref().is_some_and(|url| url.starts_with("https://")),
        public_url: args.public_url.clone(),
        trusted_proxies: args.trusted_proxy.clone(),
        open_metrics: args.open_metrics,
        time_zone: args.time_zone.or(here).unwrap_or(defaults.time_zone),
        in_flight: args.in_flight.into(),
        pages: args.only != Some(Half::Engine),
        several_hosts: db::has_several_hosts(&place.url),
        static_dir,
        keyring: place.keyring.clone(),
        internal_gateways: args.internal_gateways.clone(),
        first_password: place.first_password(),
    })
}

/// Makes sure somebody can sign in. Returns the password they begin with, until it is changed.
async fn first_person(app: &App) -> Result<Option<String>> {
    let (now, new) = (
        app.clock.now(),
        NewUser {
            email: first_password::EMAIL.to_owned(),
            name: "Admin".to_owned(),
            role: Role::Admin,
            password: demo::fresh_password(),
        },
    );
    let kept = app.settings.first_password.clone();
    let begin = move |conn: &mut diesel::PgConnection| -> Result<Option<String>> {
        let keep =
            || -> Result<()> { Ok(kept.as_deref().map_or(Ok(()), |path| first_password::keep(path, &new.password))?) };
        match (people::actions::add_first_user(conn, &new, keep, now)?, &kept) {
            (true, _) => Ok(Some(new.password)),
            (false, Some(path)) => Ok(first_password::recall(conn, path)?),
            (false, None) => Ok(None),
        }
    };
    app.db.run(move |conn| Ok::<_, diesel::result::Error>(begin(conn))).await?
}

/// Says where it is going to be, and what has to be done before.
fn announce(address: SocketAddr, args: &ServeArgs, database: &DatabaseArgs, dir: &Path) {
    println!("Bugle is starting; in a moment it answers at {}", shown(address, &args.public_url));
    match &database.database_url {
        Some(_) => println!("Looking for its database…"),
        None if dir.join("postgres").is_dir() => println!("Starting its PostgreSQL in {}…", dir.display()),
        None => println!("Making a PostgreSQL of its own in {}, this once…", dir.display()),
    }
}

/// The address as a browser on this machine, or anywhere, can be given it.
fn shown(address: SocketAddr, public_url: &Option<String>) -> String {
    let here = match address.ip().is_unspecified() {
        true => SocketAddr::new([127, 0, 0, 1].into(), address.port()),
        false => address,
    };
    public_url.clone().unwrap_or_else(|| format!("http://{here}"))
}

fn greet(address: SocketAddr, settings: &Settings, password: Option<&str>) {
    println!("Listening on {}", shown(address, &settings.public_url));
    match password {
        Some(password) => {
            println!("Sign in with {} and password {password}", first_password::EMAIL);
            println!("(shown until you change it: under your name, top right)");
        }
        None => {
            println!("Sign in with your e-mail address. Lost the password? `bugle user passwd EMAIL` sets a new one.")
        }
    }
}

/// Says once that the private server should be started anew.
async fn warn_when_outdated(server: Watch, pulse: Arc<Pulse>) {
    while !server.is_outdated() {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    pulse.server_was_replaced();
    tracing::warn!("the programs of the private PostgreSQL were replaced, by an upgrade perhaps; restart Bugle soon");
}

/// Waits to be told to stop. From the call on, and not from the first time that somebody
/// waits, being told ends the process no more.
fn told_to_stop() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Whoever asks twice does not want to wait; and whatever hangs, the process is gone in a
/// minute and a half. Its private PostgreSQL goes with it.
async fn leave_at_once() {
    let _ = tokio::time::timeout(Duration::from_secs(90), told_to_stop()).await;
    tracing::warn!("leaving at once; what is on the wire will be unconfirmed");
    std::process::exit(1);
}

async fn seed(place: &Place) -> Result<()> {
    let app = halting::app(place)?;
    match demo::seed(&app).await? {
        true => println!("The demo is written."),
        false => println!("This installation has its demo, or campaigns of its own, already. Nothing was changed."),
    }
    Ok(())
}

fn user(place: &Place, command: UserCommand) -> Result<()> {
    let db = Db::connect(&place.url, 1)?;
    let (conn, now) = (&mut *db.lend()?, Clock::default().now());
    match command {
        UserCommand::Add { email, name, role } => {
            let role = match role {
                RoleArg::Viewer => Role::Viewer,
                RoleArg::Operator => Role::Operator,
                RoleArg::Manager => Role::Manager,
                RoleArg::Admin => Role::Admin,
            };
            let new = NewUser { email: people::domain::tidy_email(&email), name, role, password: read_password()? };
            let trouble = people::domain::email_trouble(&new.email)
                .or(people::domain::name_trouble(&new.name))
                .or(people::domain::password_trouble_of(&new.password, &new.email, &new.name));
            if let Some(trouble) = trouble {
                bail!("{trouble}");
            }
            people::actions::add_user(conn, &new, Actor::Shell, now)?;
            println!("{} may sign in now.", new.email);
        }
        UserCommand::Passwd { email } => {
            let email = people::domain::tidy_email(&email);
            let (user, _) =
                people::store::credentials(conn, &email)?.with_context(|| format!("nobody signs in as {email}"))?;
            let password = read_password()?;
            if let Some(trouble) = people::domain::password_trouble_of(&password, &user.email, &user.name) {
                bail!("{trouble}");
            }
            people::actions::set_password(conn, user.id, &password, Actor::Shell, now)?;
            if let Some(path) = place.first_password() {
                first_password::recall(conn, &path)?;
            }
            println!("{email} has a new password and is signed out everywhere.");
        }
    }
    Ok(())
}

fn read_password() -> Result<String> {
    if std::io::stdin().is_terminal() {
        eprintln!("Password (it will be shown as you type), then Enter:");
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    match people::domain::password_trouble(&password) {
        Some(trouble) => bail!("{trouble}"),
        None => Ok(password),
    }
}
