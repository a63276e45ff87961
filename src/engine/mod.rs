//! The parts that move without being asked.
//!
//! Every tick is a plain function of the app and the clock. The metronome calls
//! it on a timer, a story calls it by hand, and nothing is remembered between
//! two ticks except in Postgres. The [outbox] alone has a life of
//! its own between ticks: sends on the wire, whose results must be written down.
//!
//! [`Engine`] is all of it. Which ticks there are stands here and nowhere else.

pub mod checker;
pub mod dispatcher;
pub mod fetcher;
pub mod importer;
pub mod launcher;
pub mod lines;
pub mod listener;
pub mod looker;
pub mod metronome;
pub mod outbox;
pub mod rescuer;
pub mod starter;
pub mod talker;
pub mod timekeeper;
pub mod watcher;
pub mod wire;

use std::sync::Arc;
use std::time::Instant;

use actix_web::web::Data;

use crate::app::App;
use crate::engine::dispatcher::Dispatcher;
use crate::engine::lines::Lines;
use crate::engine::metronome::{EACH_SECOND, Metronome};
use crate::engine::talker::Talker;
use crate::sandbox::carrier;
use crate::{channels, conversations, files, people, webchat};

/// Everything that moves by itself in one process.
#[derive(Clone)]
pub struct Engine {
    pub app: Data<App>,
    pub dispatcher: Arc<Dispatcher>,
    pub talker: Arc<Talker>,
}

impl Engine {
    /// Must be called inside a runtime. Nothing moves before it is [started](Self::start).
    pub fn new(app: Data<App>) -> Self {
        let lines: Arc<Lines> = Arc::default();
        let dispatcher = Dispatcher::new(app.clone(), lines.clone());
        let talker = Talker::new(app.clone(), lines);
        Engine { app, dispatcher, talker }
    }

    /// Sends, and whatever has to happen around it: adds the ticks, and begins to answer what
    /// people say as soon as they have said it.
    pub fn start(&self, metronome: &mut Metronome) {
        // From now on somebody may ask whether it lives.
        self.app.pulse.engine_looked(Instant::now());
        tokio::spawn(self.talker.clone().listen());
        macro_rules! tick {
            ($name:literal, $cron:expr, $thing:ident => $work:expr) => {{
                let $thing = self.$thing.clone();
                metronome.add($cron, $name, move || {
                    let $thing = $thing.clone();
                    async move { $work }
                });
            }};
        }
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
        tick!("listen", "*/10 * * * * *", app => listener::tick(&app).await);
        tick!("look up", EACH_SECOND, app => looker::tick(&app).await);
        tick!("forget takes", "45 */10 * * * *", app => rescuer::forget(&app).await);
        tick!("forget files", "0 5/10 * * * *", app => files::sweep::tick(&app).await);
        tick!("launch", EACH_SECOND, app => launcher::tick(&app).await);
        tick!("approved texts", "20 * * * * *", app => channels::fetch::tick(&app).await);
        tick!("media", EACH_SECOND, app => fetcher::tick(&app).await);
        tick!("forget strays", "50 5/10 * * * *", app => fetcher::forget_strays(&app).await);
        tick!("carrier", EACH_SECOND, app => carrier::tick(&app).await);
    }

    /// What every process does, whether or not it sends: watches that nothing is lost, and
    /// forgets who is gone.
    pub fn keep_house(app: &Data<App>, metronome: &mut Metronome) {
        let (watched, sessions, visitors) = (app.clone(), app.clone(), app.clone());
        metronome.add(EACH_SECOND, "watch", move || {
            let app = watched.clone();
            async move { watcher::tick(&app).await }
        });
        metronome.add("0 */10 * * * *", "sweep", move || {
            let app = sessions.clone();
            let now = app.clock.now();
            async move { Ok(app.db.run(move |conn| people::store::sweep(conn, now)).await?) }
        });
        metronome.add("30 */10 * * * *", "sweep visitors", move || {
            let app = visitors.clone();
            async move { webchat::lobby::sweep(&app).await }
        });
    }

    /// One turn by hand of what moves messages, in their order: runs begin, send and settle, phones and
    /// people answer, bots reply, and what is over ends. Nothing is on the wire when it returns.
    pub async fn turn(&self) -> anyhow::Result<()> {
        starter::tick(&self.app).await?;
        self.dispatch().await?;
        self.talk().await?;
        carrier::tick(&self.app).await?;
        self.talk().await?;
        rescuer::tick(&self.app).await?;
        rescuer::sweep(&self.app).await?;
        Ok(())
    }

    /// Claims and sends what is due, and waits until it is settled. Returns how many contacts.
    pub async fn dispatch(&self) -> anyhow::Result<usize> {
        let n = self.dispatcher.tick().await?;
        self.dispatcher.outbox.idle().await;
        Ok(n)
    }

    /// Lets conversations go on until nothing is left to do, and gives up what nobody will send.
    pub async fn talk(&self) -> anyhow::Result<()> {
        while self.app.db.run(conversations::store::may_go_on).await? {
            let n = self.talker.tick().await?;
            self.talker.outbox.idle().await;
            if n + self.talker.rescue().await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Begins nothing more.
    pub fn hold(&self) {
        self.dispatcher.outbox.hold();
        self.talker.outbox.hold();
    }

    /// Waits, no longer than sends may take, until what is on the wire is written down.
    pub async fn shut_down(&self) {
        tokio::join!(self.dispatcher.outbox.shut_down(), self.talker.outbox.shut_down());
        self.dispatcher.lines.let_go(&self.app).await;
    }
}
