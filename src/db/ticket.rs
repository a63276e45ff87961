//! Work that somebody waits for, and the moment from which nobody does.
//!
//! The client library waits for a server's answer without a limit. A thread that
//! waits so cannot be called back; what can be done is to see to it that whatever
//! comes of it changes nothing any more. Every statement of a connection passes
//! here before it leaves: once a piece of work was given up, its next statement,
//! COMMIT included, does not leave, the transaction ends with the connection, and
//! whoever asked was told the truth.

use std::any::Any;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use diesel::connection::InstrumentationEvent;

/// Nothing has been written for good so far.
const OPEN: u8 = 0;
/// Something may have been written for good: a COMMIT left, or a statement outside a transaction.
const WRITING: u8 = 1;
const GIVEN_UP: u8 = 2;
const GIVEN_UP_WRITING: u8 = 3;

/// One piece of work.
#[derive(Default)]
pub(super) struct Ticket {
    state: AtomicU8,
    /// The server's process that works for it, and which server that is; none while it waits for a connection.
    backend: OnceLock<(i32, Arc<str>)>,
    /// Whether a thread has taken it up.
    begun: AtomicBool,
    done: AtomicBool,
}

impl Ticket {
    /// No further statement of it leaves. Returns whether it is certain that it changed nothing.
    pub(super) fn give_up(&self) -> bool {
        let given_up = |state| Some(if state == OPEN || state == GIVEN_UP { GIVEN_UP } else { GIVEN_UP_WRITING });
        let was = self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, given_up).unwrap_or(WRITING);
        was == OPEN || was == GIVEN_UP
    }

    pub(super) fn is_given_up(&self) -> bool {
        GIVEN_UP <= self.state.load(Ordering::SeqCst)
    }

    /// Whether nothing was written for good so far.
    pub(super) fn wrote_nothing(&self) -> bool {
        matches!(self.state.load(Ordering::SeqCst), OPEN | GIVEN_UP)
    }

    /// From here on something may be written for good. `false` when the work was given up before.
    fn may_write(&self) -> bool {
        let writing = |state| (state < GIVEN_UP).then_some(WRITING);
        self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, writing).is_ok()
    }

    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::SeqCst);
    }

    /// Whether a thread has taken it up; it may still be asking its connection for a sign of life.
    pub(super) fn is_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    pub(super) fn begun_by(&self, backend: i32, server: &Arc<str>) {
        let _ = self.backend.set((backend, server.clone()));
    }

    /// The server's process that works for it and which server that is, once there is one.
    pub(super) fn backend(&self) -> Option<(i32, Arc<str>)> {
        self.backend.get().cloned()
    }

    pub(super) fn finish(&self) {
        self.done.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }
}

/// Where a connection stands between two statements.
#[derive(Clone, Copy, Default, PartialEq)]
enum Stage {
    /// Every statement is a transaction of its own.
    #[default]
    Outside,
    Inside,
    /// The next statement takes back what was written.
    Undoing,
}

#[derive(Default)]
struct Now {
    ticket: Option<Arc<Ticket>>,
    stage: Stage,
}

/// Whom a connection works for right now.
#[derive(Clone, Default)]
pub(super) struct Desk(Arc<Mutex<Now>>);

/// What unwinds out of work that was given up.
struct GivenUp;

impl Desk {
    pub(super) fn take(&self, ticket: &Arc<Ticket>) {
        *self.0.lock().unwrap() = Now { ticket: Some(ticket.clone()), stage: Stage::Outside };
    }

    pub(super) fn clear(&self) {
        *self.0.lock().unwrap() = Now::default();
    }

    /// Looks at what a connection is about to do; does not return when the work was given up.
    /// Whether it is about somebody's work.
    pub(super) fn look(&self, event: &InstrumentationEvent<'_>) -> bool {
        let goes_on = {
            let mut now = self.0.lock().unwrap();
            let Some(ticket) = now.ticket.clone() else { return false };
            match event {
                InstrumentationEvent::BeginTransaction { depth, .. } if depth.get() == 1 => {
                    now.stage = Stage::Inside;
                    !ticket.is_given_up()
                }
                InstrumentationEvent::CommitTransaction { depth, .. } if depth.get() == 1 => {
                    now.stage = Stage::Outside;
                    ticket.may_write()
                }
                InstrumentationEvent::RollbackTransaction { depth, .. } if depth.get() == 1 => {
                    now.stage = Stage::Undoing;
                    true
                }
                InstrumentationEvent::StartQuery { .. } => match now.stage {
                    Stage::Outside => ticket.may_write(),
                    Stage::Inside => !ticket.is_given_up(),
                    Stage::Undoing => {
                        now.stage = Stage::Outside;
                        true
                    }
                },
                _ => true,
            }
        };
        if !goes_on {
            // Not a panic: nothing is wrong here and nothing is logged.
            resume_unwind(Box::new(GivenUp));
        }
        true
    }
}

/// Whether what unwound is work that was given up, and not a fault.
pub(super) fn is_given_up(unwound: &(dyn Any + Send)) -> bool {
    unwound.is::<GivenUp>()
}
