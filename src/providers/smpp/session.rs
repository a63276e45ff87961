//! A bind that is held: made, kept up, made anew when it is lost, and taken down in good order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::exchange::{BindStep, Exchange};
use super::pdu::{Pdu, bind_body, command};
use super::settings::{BindKind, SmppSettings};
use super::statuses::{self, StatusTable, about_bind};
use super::wire::{Duplex, WireSaid};
use crate::clock::{Clock, uptime};
use crate::providers::caller::{Caller, Unanswered};
use crate::providers::class::AnswerMeans;
use crate::providers::{Event, RejectClass, SendOutcome, TakeIn};

/// An answer to a bind or an unbind takes no longer.
const BIND_WITHIN: Duration = Duration::from_secs(10);
const FAREWELL: Duration = Duration::from_secs(2);
/// Between two tries, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A bind that was lost sooner does not count as made.
const SETTLED: Duration = Duration::from_secs(5);
/// What has come and is not taken in yet, and what is to be answered. More is told to come again.
const WAITING_MOST: usize = 1000;
/// Taken in together.
const AT_ONCE: usize = 100;
const TAKE_IN_WITHIN: Duration = Duration::from_secs(25);
/// References that nobody looks up are remembered for so many sends.
const OTHERS_MOST: usize = 100_000;
const TICK: Duration = Duration::from_millis(200);

/// What binds are made with.
pub struct Operator {
    pub settings: SmppSettings,
    pub password: String,
    pub caller: Arc<Caller>,
    pub clock: Clock,
}

/// What a bind is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindRole {
    Transceiver,
    Transmitter,
    Receiver,
}

impl BindRole {
    /// Those that a channel needs; the first is the one that sends.
    pub fn of(kind: BindKind) -> &'static [BindRole] {
        match kind {
            BindKind::Transceiver => &[BindRole::Transceiver],
            BindKind::Pair => &[BindRole::Transmitter, BindRole::Receiver],
        }
    }

    fn command(self) -> u32 {
        match self {
            BindRole::Transceiver => command::BIND_TRANSCEIVER,
            BindRole::Transmitter => command::BIND_TRANSMITTER,
            BindRole::Receiver => command::BIND_RECEIVER,
        }
    }
}

/// How things stand with the bind that messages leave by.
#[derive(Clone)]
pub enum BindStanding {
    /// It is made for the first time.
    Opening,
    Bound(Arc<Bind>),
    /// It is refused, and whose fault that is.
    Refused(RejectClass, String),
    /// There is none just now.
    Away(String),
}

/// A send that waits for its answer, and its place in the window.
pub struct WaitingSend {
    pub tell: oneshot::Sender<SendOutcome>,
    pub place: Option<OwnedSemaphorePermit>,
}

/// A bind that is up.
pub struct Bind {
    pub wire: Arc<Duplex>,
    pub exchange: Mutex<Exchange<WaitingSend>>,
    /// Closed when nothing more may be sent.
    pub window: Arc<Semaphore>,
    asked: Mutex<HashMap<u32, oneshot::Sender<Pdu>>>,
}

impl Bind {
    /// Asks whether the other side is there.
    pub async fn enquire(&self) -> Result<(), String> {
        let (tell, told) = oneshot::channel();
        let sequence = self.exchange.lock().unwrap().number();
        self.asked.lock().unwrap().insert(sequence, tell);
        say(&self.wire, &Pdu::new(command::ENQUIRE_LINK, sequence, Vec::new()).octets()).await?;
        match timeout(BIND_WITHIN, told).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err("the connection was lost".to_owned()),
            Err(_) => Err("no answer to enquire_link".to_owned()),
        }
    }
}

async fn say(wire: &Arc<Duplex>, octets: &[u8]) -> Result<(), String> {
    let turn = wire.turn().await.map_err(|error| error.to_string())?;
    match turn.say(octets) {
        WireSaid::Whole => Ok(()),
        WireSaid::Nothing(error) | WireSaid::Broken(error) => Err(error.to_string()),
    }
}

/// References of parts that do not speak for their text.
#[derive(Default)]
pub struct OtherParts(Mutex<(HashSet<String>, VecDeque<String>)>);

impl OtherParts {
    pub fn remember(&self, reference: String) {
        let (known, order) = &mut *self.0.lock().unwrap();
        if known.insert(reference.clone()) {
            order.push_back(reference);
        }
        if OTHERS_MOST < order.len()
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
    }

    fn is_about_one(&self, event: &Event) -> bool {
        match event {
            Event::Receipt(it) => it.about.theirs().is_some_and(|it| self.0.lock().unwrap().0.contains(it)),
            _ => false,
        }
    }
}

/// Why there is no bind.
#[derive(Debug)]
pub struct NotBound {
    /// `None`: nobody's fault, and it may be there in a moment.
    pub class: Option<RejectClass>,
    pub why: String,
}

impl NotBound {
    fn away(why: impl Into<String>) -> NotBound {
        NotBound { class: None, why: why.into() }
    }

    fn standing(self) -> BindStanding {
        match self.class {
            Some(class) => BindStanding::Refused(class, self.why),
            None => BindStanding::Away(self.why),
        }
    }
}

impl From<Unanswered> for NotBound {
    fn from(it: Unanswered) -> NotBound {
        let class = matches!(it, Unanswered::Misset(_)).then_some(RejectClass::Misset);
        NotBound { class, why: it.words() }
    }
}

/// A bind that was just made, and what came behind the answer.
pub struct Made {
    pub wire: Arc<Duplex>,
    exchange: Exchange<WaitingSend>,
    steps: Vec<BindStep<WaitingSend>>,
}

impl Operator {
    fn statuses(&self) -> StatusTable {
        self.settings.statuses()
    }

    /// Connects, and binds.
    pub async fn bind(&self, role: BindRole) -> Result<Made, NotBound> {
        let it = &self.settings;
        let wire = Duplex::new(self.caller.dial(&it.host, it.port, it.tls).await?);
        let mut exchange = Exchange::new(it.hearing(), self.statuses());
        let sequence = exchange.number();
        let asks = Pdu::new(role.command(), sequence, bind_body(&it.system_id, &self.password, &it.system_type));
        let asked = async {
            say(&wire, &asks.octets()).await?;
            let mut buffer = [0; 4096];
            loop {
                let n = wire.hear(&mut buffer).await.map_err(|error| error.to_string())?;
                if n == 0 {
                    return Err("it hung up instead of an answer to the bind".to_owned());
                }
                let mut steps = exchange.hear(buffer.get(..n).unwrap_or_default(), self.clock.now());
                let is_answer =
                    |step: &BindStep<WaitingSend>| matches!(step, BindStep::Answered(it) if it.sequence == sequence);
                if let Some(at) = steps.iter().position(is_answer)
                    && let BindStep::Answered(answer) = steps.remove(at)
                {
                    return Ok((answer, steps));
                }
            }
        };
        let (answer, steps) = match timeout(BIND_WITHIN, asked).await {
            Ok(answered) => answered.map_err(NotBound::away)?,
            Err(_) => return Err(NotBound::away("no answer to the bind in time")),
        };
        if answer.status == statuses::OK {
            return Ok(Made { wire, exchange, steps });
        }
        let why = format!("{}: {}", statuses::code(answer.status), about_bind(answer.status));
        let class = match self.statuses().of_bind(answer.status) {
            AnswerMeans::Rejected(class) => Some(class),
            AnswerMeans::Accepted | AnswerMeans::Later { .. } | AnswerMeans::Unknown => None,
        };
        Err(NotBound { class, why })
    }
}

/// Unbinds, where nothing else goes on.
pub async fn unbind(made: Made) {
    let Made { wire, mut exchange, .. } = made;
    let ask = Pdu::new(command::UNBIND, exchange.number(), Vec::new()).octets();
    let farewell = async {
        if say(&wire, &ask).await.is_ok() {
            let _ = wire.hear(&mut [0; 512]).await;
        }
    };
    let _ = timeout(FAREWELL, farewell).await;
}

/// One bind of a channel, and all that belongs to it.
pub struct Keeper {
    pub operator: Arc<Operator>,
    pub role: BindRole,
    pub told: TakeIn,
    pub others: Arc<OtherParts>,
    /// Told how things stand; nobody asks about one that only receives.
    pub standing: Option<watch::Sender<BindStanding>>,
    pub closing: CancellationToken,
}

impl Keeper {
    /// Keeps it up until it is to be closed.
    pub async fn keep(self) {
        let mut pause = FIRST_PAUSE;
        while !self.closing.is_cancelled() {
            let tried = tokio::select! {
                tried = self.operator.bind(self.role) => tried,
                () = self.closing.cancelled() => return,
            };
            let host = &self.operator.settings.host;
            match tried {
                Err(not_bound) => {
                    tracing::warn!("no bind to {host}: {}", not_bound.why);
                    self.stands(not_bound.standing());
                }
                Ok(made) => {
                    tracing::info!("bound to {host} as {:?}", self.role);
                    let since = uptime();
                    let why = self.live(made).await;
                    if self.closing.is_cancelled() {
                        return;
                    }
                    tracing::warn!("the bind to {host} is lost: {why}");
                    self.stands(BindStanding::Away(why));
                    if since + SETTLED <= uptime() {
                        pause = FIRST_PAUSE;
                    }
                }
            }
            tokio::select! {
                () = sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)) => {}
                () = self.closing.cancelled() => return,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn stands(&self, how: BindStanding) {
        if let Some(standing) = &self.standing {
            standing.send_replace(how);
        }
    }

    /// From the bind to its end. Returns why it ended.
    async fn live(&self, made: Made) -> String {
        let Made { wire, exchange, steps } = made;
        let bind = Arc::new(Bind {
            wire: wire.clone(),
            exchange: Mutex::new(exchange),
            window: Arc::new(Semaphore::new(usize::from(self.operator.settings.window))),
            asked: Mutex::default(),
        });
        let (answers, to_say) = mpsc::channel(WAITING_MOST * 2);
        let (heard, to_take_in) = mpsc::channel(WAITING_MOST);
        let speaking = tokio::spawn(speak(wire, to_say));
        tokio::spawn(take_in(self.told.clone(), to_take_in, answers.clone()));
        let alive = Alive { keeper: self, bind: &bind, answers, heard };
        self.stands(BindStanding::Bound(bind.clone()));
        let why = match alive.follow(steps) {
            Some(end) => end,
            None => alive.go_on().await,
        };
        // First nobody begins any more; then what is outstanding is told.
        bind.window.close();
        let lost = bind.exchange.lock().unwrap().lost(&why);
        alive.follow(lost);
        bind.asked.lock().unwrap().clear();
        drop(alive);
        let _ = timeout(FAREWELL, speaking).await;
        why
    }
}

/// A bind while it is up.
struct Alive<'a> {
    keeper: &'a Keeper,
    bind: &'a Arc<Bind>,
    /// To be said.
    answers: mpsc::Sender<Vec<u8>>,
    /// To be taken in, and then answered.
    heard: mpsc::Sender<(Event, Pdu)>,
}

impl Alive<'_> {
    async fn go_on(&self) -> String {
        let settings = &self.keeper.operator.settings;
        let (enquire, within) = (settings.enquire(), settings.answer());
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut buffer, mut last, mut asked) = (vec![0; 32 * 1024], uptime(), false);
        loop {
            tokio::select! {
                heard = self.bind.wire.hear(&mut buffer) => {
                    match heard {
                        Ok(0) => return "the other side hung up".to_owned(),
                        Err(error) => return format!("the connection was lost: {error}"),
                        Ok(n) => {
                            (last, asked) = (uptime(), false);
                            if let Some(end) = self.hear(buffer.get(..n).unwrap_or_default()) {
                                self.drain(&mut buffer, FAREWELL).await;
                                return end;
                            }
                        }
                    }
                }
                _ = ticks.tick() => {
                    let now = uptime();
                    let overdue = self.bind.exchange.lock().unwrap().overdue(now.saturating_sub(within));
                    self.follow(overdue);
                    if asked && last + enquire + BIND_WITHIN <= now {
                        return "no answer to enquire_link".to_owned();
                    }
                    if !asked && last + enquire <= now {
                        asked = true;
                        let sequence = self.bind.exchange.lock().unwrap().number();
                        self.say(&Pdu::new(command::ENQUIRE_LINK, sequence, Vec::new()));
                    }
                }
                () = self.keeper.closing.cancelled() => {
                    self.farewell(&mut buffer).await;
                    return "we have unbound".to_owned();
                }
            }
        }
    }

    /// Nothing more begins. What is outstanding is waited for a moment, and then we unbind.
    async fn farewell(&self, buffer: &mut [u8]) {
        self.keeper.stands(BindStanding::Away("the bind is being closed".to_owned()));
        self.bind.window.close();
        self.drain(buffer, FAREWELL).await;
        let sequence = self.bind.exchange.lock().unwrap().number();
        let (tell, mut told) = oneshot::channel();
        self.bind.asked.lock().unwrap().insert(sequence, tell);
        self.say(&Pdu::new(command::UNBIND, sequence, Vec::new()));
        let answered = async {
            while told.try_recv().is_err() {
                match self.bind.wire.hear(buffer).await {
                    Ok(n) if n > 0 => drop(self.hear(buffer.get(..n).unwrap_or_default())),
                    _ => return,
                }
            }
        };
        let _ = timeout(FAREWELL, answered).await;
    }

    /// Listens for answers to what is outstanding.
    async fn drain(&self, buffer: &mut [u8], most: Duration) {
        self.bind.window.close();
        let drained = async {
            while self.bind.exchange.lock().unwrap().n_outstanding() > 0 {
                match self.bind.wire.hear(buffer).await {
                    Ok(n) if n > 0 => drop(self.hear(buffer.get(..n).unwrap_or_default())),
                    _ => return,
                }
            }
        };
        let _ = timeout(most, drained).await;
    }

    fn hear(&self, octets: &[u8]) -> Option<String> {
        let at = self.keeper.operator.clock.now();
        let steps = self.bind.exchange.lock().unwrap().hear(octets, at);
        self.follow(steps)
    }

    fn say(&self, pdu: &Pdu) -> bool {
        self.answers.try_send(pdu.octets()).is_ok()
    }

    /// Does what follows. Returns why the bind is at its end, if it is.
    fn follow(&self, steps: Vec<BindStep<WaitingSend>>) -> Option<String> {
        let mut end = None;
        for step in steps {
            match step {
                BindStep::Say(pdu) => {
                    if !self.say(&pdu) {
                        end = Some("the other side takes no answers".to_owned());
                    }
                }
                BindStep::TakeIn { event, pdu } if self.keeper.others.is_about_one(&event) => {
                    self.say(&pdu.answer(statuses::OK));
                }
                BindStep::TakeIn { event, pdu } => {
                    if let Err(full) = self.heard.try_send((*event, pdu)) {
                        let (_, pdu) = full.into_inner();
                        self.say(&pdu.answer(statuses::TRY_AGAIN));
                    }
                }
                BindStep::Settled { what, outcome, .. } => {
                    let WaitingSend { tell, place } = what;
                    // Whoever waited may have given up.
                    let _ = tell.send(outcome);
                    drop(place);
                }
                BindStep::Answered(pdu) => {
                    let asked = self.bind.asked.lock().unwrap().remove(&pdu.sequence);
                    if let Some(tell) = asked {
                        let _ = tell.send(pdu);
                    }
                }
                BindStep::Unbound(answer) => {
                    self.say(&answer);
                    end = Some("the other side has unbound".to_owned());
                }
                BindStep::Hopeless => end = Some("what it says makes no sense".to_owned()),
            }
        }
        end
    }
}

/// Says what is to be said, as long as there is somebody who could want it.
async fn speak(wire: Arc<Duplex>, mut to_say: mpsc::Receiver<Vec<u8>>) {
    let mut waiting = Vec::new();
    while to_say.recv_many(&mut waiting, AT_ONCE).await > 0 {
        let octets = waiting.concat();
        waiting.clear();
        if say(&wire, &octets).await.is_err() {
            return;
        }
    }
}

/// Takes in what has come, in its order, and answers it when that is written down.
async fn take_in(told: TakeIn, mut heard: mpsc::Receiver<(Event, Pdu)>, answers: mpsc::Sender<Vec<u8>>) {
    let mut waiting = Vec::new();
    while heard.recv_many(&mut waiting, AT_ONCE).await > 0 {
        let (events, pdus): (Vec<Event>, Vec<Pdu>) = waiting.drain(..).unzip();
        let mut fate = vec![is_taken(&told, events.clone()).await; pdus.len()];
        // One that cannot be taken in keeps none of the others back.
        if fate.len() > 1 && fate.contains(&false) {
            for (fate, event) in fate.iter_mut().zip(events) {
                *fate = is_taken(&told, vec![event]).await;
            }
        }
        for (pdu, is_taken) in pdus.iter().zip(fate).filter(|(pdu, _)| !pdu.is_answer()) {
            let status = if is_taken { statuses::OK } else { statuses::TRY_AGAIN };
            if answers.send(pdu.answer(status).octets()).await.is_err() {
                return;
            }
        }
    }
}

async fn is_taken(told: &TakeIn, events: Vec<Event>) -> bool {
    match timeout(TAKE_IN_WITHIN, told(events)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::error!("what an SMSC told was not taken in, and is to come again: {error}");
            false
        }
        Err(_) => {
            tracing::error!("what an SMSC told was not taken in in time, and is to come again");
            false
        }
    }
}
