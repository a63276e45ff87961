//! Work done in a process of its own, so that its memory can be told from ours.

use std::process::{Command, Stdio};
use std::time::Instant;

use actix_web::cookie::Key;
use bugle::engine::Engine;
use bugle::engine::{checker, importer, starter};
use bugle::screen::live::Hub;

use crate::ground::{EMAIL, Ground, PASSWORD, app_at, null};
use crate::http::Browser;
use crate::screen::serve;
use crate::table::{Row, Target};

/// What a child tells: how long its work took, and how much memory it had then and at most.
pub struct Told {
    pub seconds: f64,
    pub resident_mb: f64,
    pub peak_mb: f64,
}

/// Runs `work` of [`work`] in a new process and waits for it.
pub fn run(work: &str, url: &str) -> anyhow::Result<Told> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--child", work, url])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match figures[..] {
        [seconds, resident_mb, peak_mb] if output.status.success() => Ok(Told { seconds, resident_mb, peak_mb }),
        _ => anyhow::bail!("the child failed: {text}"),
    }
}

/// What the child does. Its last line is what [`run`] reads.
pub async fn work(work: &str, args: &[String]) -> anyhow::Result<()> {
    let url = args.first().ok_or_else(|| anyhow::anyhow!("no database"))?;
    let app = app_at(url, 64, null())?;
    let began = Instant::now();
    match work {
        "import" => {
            importer::tick(&app).await?;
        }
        "check" => {
            checker::tick(&app).await?;
        }
        // Everything that `serve` does: pages, live progress, and the engine.
        "serve" => {
            let hub = Hub::start(app.clone());
            let (address, server) = serve(app.clone(), Some(hub.clone()), Key::generate())?;
            let mut browser = Browser::sign_in(address, EMAIL, PASSWORD).await?;
            let dispatcher = Engine::new(app.clone()).dispatcher;
            let sending = async {
                starter::tick(&app).await?;
                let n = dispatcher.tick().await?;
                dispatcher.outbox.idle().await;
                anyhow::Ok(n)
            };
            let looking = async {
                loop {
                    browser.get("/campaigns").await?;
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
                #[expect(unreachable_code, reason = "names the type")]
                anyhow::Ok(())
            };
            tokio::select! {
                sent = sending => { sent?; }
                looked = looking => looked?,
            }
            hub.stop();
            server.stop(true).await;
        }
        other => anyhow::bail!("no such work: {other}"),
    }
    println!("{} {} {}", began.elapsed().as_secs_f64(), status("VmRSS")?, status("VmHWM")?);
    Ok(())
}

/// A line of /proc/self/status, in MB.
fn status(name: &str) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with(name));
    let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kb.map(|kb| kb / 1024.0).ok_or_else(|| anyhow::anyhow!("no {name}"))
}

/// What a serving process holds after a large run.
pub async fn memory(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("memory")?, ground.size(1_000_000));
    let file = house.contacts(n)?;
    let mut now = Row::new(format!("resident memory after serving a run of {n} contacts"), "MB", Target::Below(100.0));
    let mut most = Row::new("… and at most meanwhile", "MB", Target::Below(100.0));
    house.launch(file)?;
    let told = run("serve", &house.url)?;
    let settled = house.number("SELECT count(*) AS n FROM deliveries WHERE progress = 1")?;
    anyhow::ensure!(settled == n as i64, "only {settled} contacts were settled");
    eprintln!("  {n} contacts readied, sent and settled in {:.1} s", told.seconds);
    now.add_alone(told.resident_mb);
    most.add_alone(told.peak_mb);
    Ok(vec![now, most])
}
