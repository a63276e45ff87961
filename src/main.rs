//! The command line: parses arguments, starts things, and stops them in order.

#![cfg_attr(not(test), deny(clippy::string_slice))]

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::cookie::Key;
use actix_web::web::Data;
use anyhow::{Context, Result, anyhow, bail};
use bugle::app::App;
use bugle::campaigns::live::Hub;
use bugle::clock::Clock;
use bugle::config::Settings;
use bugle::db::embedded::{Durability, Private};
use bugle::db::{self, Db, Purpose};
use bugle::engine::dispatcher::Dispatcher;
use bugle::engine::metronome::{EACH_SECOND, Metronome};
use bugle::engine::talker::Talker;
use bugle::engine::{checker, importer, launcher, rescuer, starter, timekeeper};
use bugle::people::domain::NewUser;
use bugle::sandbox::carrier;
use bugle::web::{Role, tell_of_panics};
use bugle::webchat::lobby::Lobby;
use bugle::{demo, files, installation, people, server};
use chrono_tz::Tz;
use clap::{Args, Parser, Subcommand, ValueEnum};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// The address of the person a fresh installation begins with.
const FIRST_EMAIL: &str = "admin@bugle.example";

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
    /// Write the demo into an empty installation
    Seed,
    /// Add people, or give them a new password
    #[command(subcommand)]
    User(UserCommand),
    /// Started by Bugle itself, confined: read the workbook on standard input
    #[command(hide = true)]
    ReadWorkbook { format: String, size: u64 },
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
        #[arg(long, value_enum, default_value_t = RoleArg::Admin)]
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
    /// May also upload, pause and resume
    Operator,
    /// May also create, edit, launch and stop campaigns
    Manager,
    /// May do everything, STOP of everything included
    Admin,
}

#[derive(Args)]
struct DatabaseArgs {
    /// PostgreSQL to use, such as postgres://bugle@db/bugle; without it Bugle runs a private one
    #[arg(long, env = "DATABASE_URL", global = true, hide_env_values = true)]
    database_url: Option<String>,
    /// Folder for the private PostgreSQL [default: ./data, or /var/lib/bugle for root where ./data cannot serve]
    #[arg(long, env = "BUGLE_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
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
    /// IANA time zone that new campaigns start with [default: this machine's]
    #[arg(long, env = "BUGLE_TIME_ZONE")]
    time_zone: Option<Tz>,
    /// Most sends on the wire at once, for each channel and process
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
    if let Some(Command::ReadWorkbook { format, size }) = &cli.command {
        return files::workbook::read(format, *size);
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
    let place = Place::open(&cli.database)?;
    db::migrate(&place.url).context("the database could not be brought up to date")?;
    match command {
        Command::Serve(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let served = runtime.block_on(serve(&place, args));
            // A thread that is stuck in the database keeps nobody from leaving.
            runtime.shutdown_timeout(Duration::from_secs(2));
            served
        }
        Command::Migrate => {
            println!("The database is up to date.");
            Ok(())
        }
        Command::Seed => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(seed(&place))
        }
        Command::User(command) => user(&place, command),
        Command::ReadWorkbook { .. } => bail!("this is answered before anything is opened"),
    }
    // `place` goes last: it stops the private server.
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
    let filter = EnvFilter::try_from_env("BUGLE_LOG").unwrap_or_else(|_| EnvFilter::new("warn,bugle=info"));
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
    _server: Option<Private>,
}

impl Place {
    fn open(args: &DatabaseArgs) -> Result<Self> {
        if let Some(url) = &args.database_url {
            return Ok(Self { url: url.clone(), dir: None, _server: None });
        }
        let dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
        let server = Private::start(&dir, Durability::Full)?;
        server.create_database("bugle")?;
        Ok(Self { url: server.url("bugle"), dir: Some(dir), _server: Some(server) })
    }
}

/// ./data; for root only where its private server could get there.
fn default_data_dir() -> PathBuf {
    // SAFETY: geteuid cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    let here = std::env::current_dir().unwrap_or_default();
    match root && !here.ancestors().all(db::embedded::is_searchable) {
        true => PathBuf::from("/var/lib/bugle"),
        false => PathBuf::from("data"),
    }
}

async fn serve(place: &Place, args: ServeArgs) -> Result<()> {
    let settings = settings(&args)?;
    let clock = Clock::default();
    let db = Db::connect(&place.url, args.database_connections).context("cannot reach the database")?;
    // Whatever else goes on, a click on PAUSE finds a connection and a thread.
    let vital = db.beside(Purpose::Vital, VITAL_CONNECTIONS)?;
    // The carrier writes its books beside the product, never in a queue behind it.
    let books = db.beside(Purpose::Engine, args.database_connections.div_ceil(4))?;
    let app = Data::new(App {
        db: db.clone(),
        vital,
        clock: clock.clone(),
        settings,
        providers: carrier::providers(&books, &clock),
        said: Arc::default(),
        pulse: Arc::default(),
    });

    let story = match args.demo {
        None => place.dir.is_some(),
        Some(demo) => demo == Demo::Story,
    };
    let sign_in = first_person(place, &app).await?;
    app.db.run(move |conn| installation::ensure_channel(conn, clock.now())).await?;
    if story {
        demo::seed(&app).await.context("the demo could not be written")?;
    }

    // The engine has connections of its own: a busy campaign never keeps a click on PAUSE waiting.
    let engine_db = db.beside(Purpose::Engine, args.database_connections)?;
    let engine = Data::new(App {
        db: engine_db,
        vital: app.vital.clone(),
        clock: app.clock.clone(),
        settings: app.settings.clone(),
        providers: app.providers.clone(),
        said: app.said.clone(),
        pulse: app.pulse.clone(),
    });
    let hub = Hub::start(app.clone());
    let lobby = Lobby::start(app.clone());
    let measures = PrometheusBuilder::new().install_recorder().map_err(|error| anyhow!(error))?;
    let key = Key::from(&app.db.run(installation::cookie_key).await?);
    let address = SocketAddr::new(args.listen, args.port);
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
        .worker_max_blocking_threads(args.database_connections as usize)
        .shutdown_timeout(10)
        .disable_signals()
        .bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another port with --port"))?;
    let address = server.addrs().first().copied().unwrap_or(address);
    let server = server.run();
    let handle = server.handle();

    tokio::spawn(timekeeper::keep(app.get_ref().clone()));
    let dispatcher = Dispatcher::new(engine.clone());
    let talker = Talker::new(engine.clone(), dispatcher.lines());
    let metronome = ticks(&engine, &dispatcher, &talker, &measures, args.only);
    if args.only != Some(Half::Web) {
        // From now on somebody may ask whether it lives.
        engine.pulse.engine_looked();
        tokio::spawn(talker.clone().listen());
    }
    metronome.start().await?;

    greet(address, &app.settings, sign_in.as_deref());
    let stop = async {
        wait_for_signal().await;
        tracing::info!("stopping: no new sends, waiting for those on the wire");
        dispatcher.hold();
        talker.hold();
        metronome.stop();
        // Open streams would hold the server back for its whole patience.
        hub.stop();
        lobby.stop();
        tokio::spawn(leave_at_once());
        tokio::join!(handle.stop(true), dispatcher.shut_down(), talker.shut_down());
    };
    let (served, ()) = tokio::join!(server, stop);
    served?;
    tracing::info!("stopped");
    Ok(())
}

fn ticks(
    app: &Data<App>,
    dispatcher: &Arc<Dispatcher>,
    talker: &Arc<Talker>,
    measures: &PrometheusHandle,
    only: Option<Half>,
) -> Metronome {
    let mut metronome = Metronome::default();
    macro_rules! tick {
        ($name:literal, $cron:expr, $($thing:ident),* => $work:expr) => {{
            $(let $thing = $thing.clone();)*
            metronome.add($cron, $name, move || {
                $(let $thing = $thing.clone();)*
                async move { $work }
            });
        }};
    }
    if only != Some(Half::Web) {
        tick!("plan", EACH_SECOND, app => starter::plan(&app).await);
        tick!("launch files", EACH_SECOND, app => starter::launch_files(&app).await);
        tick!("start", EACH_SECOND, app => starter::start(&app).await);
        tick!("prepare", EACH_SECOND, app => starter::prepare(&app).await);
        tick!("dispatch", EACH_SECOND, dispatcher => dispatcher.tick().await);
        tick!("talk", EACH_SECOND, talker => talker.tick().await);
        tick!("rescue replies", EACH_SECOND, talker => talker.rescue().await);
        tick!("rescue", EACH_SECOND, app => rescuer::tick(&app).await);
        tick!("finish", "*/30 * * * * *", app => rescuer::sweep(&app).await);
        tick!("import", EACH_SECOND, app => importer::tick(&app).await);
        tick!("check", EACH_SECOND, app => checker::tick(&app).await);
        tick!("forget files", "0 5/10 * * * *", app => files::sweep::tick(&app).await);
        tick!("launch", EACH_SECOND, app => launcher::tick(&app).await);
        tick!("carrier", EACH_SECOND, app => carrier::tick(&app).await);
    }
    tick!("upkeep", "*/5 * * * * *", measures => {
        measures.run_upkeep();
        Ok(())
    });
    tick!("sweep", "0 */10 * * * *", app => {
        let now = app.clock.now();
        Ok(app.db.run(move |conn| people::store::sweep(conn, now)).await?)
    });
    metronome
}

fn settings(args: &ServeArgs) -> Result<Settings> {
    let defaults = Settings::default();
    let here = iana_time_zone::get_timezone().ok().and_then(|name| name.parse().ok());
    let static_dir = args.static_dir.clone().unwrap_or(defaults.static_dir);
    if !static_dir.join("css").is_dir() {
        bail!("{} holds no style sheets; say where they are with --static-dir", static_dir.display());
    }
    Ok(Settings {
        secure_cookies: args.public_url.as_ref().is_some_and(|url| url.starts_with("https://")),
        public_url: args.public_url.clone(),
        time_zone: args.time_zone.or(here).unwrap_or(defaults.time_zone),
        in_flight: args.in_flight.into(),
        pages: args.only != Some(Half::Engine),
        static_dir,
    })
}

/// Makes sure somebody can sign in. Returns the password when it is ours to know.
async fn first_person(place: &Place, app: &App) -> Result<Option<String>> {
    let kept = place.dir.as_deref().map(password_file);
    let password = demo::fresh_password();
    let (now, new) = (
        app.clock.now(),
        NewUser {
            email: FIRST_EMAIL.to_owned(),
            name: "Admin".to_owned(),
            role: Role::Admin,
            password: password.clone(),
        },
    );
    let made = app
        .db
        .run(move |conn| {
            let nobody = people::store::list(conn)?.is_empty();
            if nobody { people::actions::add_user(conn, &new, None, now).map(|_| true) } else { Ok(false) }
        })
        .await?;
    match (made, kept) {
        (true, Some(kept)) => {
            write_private(&kept, &password)?;
            Ok(Some(password))
        }
        (true, None) => Ok(Some(password)),
        (false, Some(kept)) => Ok(std::fs::read_to_string(kept).ok()),
        (false, None) => Ok(None),
    }
}

fn password_file(dir: &Path) -> PathBuf {
    dir.join("first-password")
}

/// Writes a file that only this account can read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn greet(address: SocketAddr, settings: &Settings, password: Option<&str>) {
    let shown =
        if address.ip().is_unspecified() { SocketAddr::new([127, 0, 0, 1].into(), address.port()) } else { address };
    println!("Listening on {}", settings.public_url.clone().unwrap_or_else(|| format!("http://{shown}")));
    match password {
        Some(password) => {
            println!("Sign in with {FIRST_EMAIL} and password {password}");
            println!("(the password this installation began with; change it under your name, top right)");
        }
        None => {
            println!("Sign in with your e-mail address. Lost the password? `bugle user passwd EMAIL` sets a new one.")
        }
    }
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Whoever asks twice does not want to wait; and whatever hangs, the process is gone in a
/// minute and a half. Its private PostgreSQL goes with it.
async fn leave_at_once() {
    let _ = tokio::time::timeout(Duration::from_secs(90), wait_for_signal()).await;
    tracing::warn!("leaving at once; what is on the wire will be unconfirmed");
    std::process::exit(1);
}

async fn seed(place: &Place) -> Result<()> {
    let clock = Clock::default();
    let db = Db::connect(&place.url, 8)?;
    let providers = carrier::providers(&db, &clock);
    let vital = db.clone();
    let app =
        App { db, vital, clock, settings: Settings::default(), providers, said: Arc::default(), pulse: Arc::default() };
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
            let trouble = people::domain::email_trouble(&new.email).or(people::domain::name_trouble(&new.name));
            if let Some(trouble) = trouble {
                bail!("{trouble}");
            }
            people::actions::add_user(conn, &new, None, now)?;
            println!("{} may sign in now.", new.email);
        }
        UserCommand::Passwd { email } => {
            let email = people::domain::tidy_email(&email);
            let (user, _) =
                people::store::credentials(conn, &email)?.with_context(|| format!("nobody signs in as {email}"))?;
            people::actions::set_password(conn, user.id, &read_password()?, None, now)?;
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
