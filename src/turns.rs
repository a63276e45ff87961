//! Places for work that costs much: so many for each person and so many over all, that
//! no question, however slow, takes the house away from everybody else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::ids::UserId;

/// What is slow, each kind with places of its own: who takes tables away can still search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slow {
    Question,
    /// A table that is made while it is taken away.
    Table,
}

/// Of each kind, what one person may have under way.
pub const OF_ONE: usize = 2;
/// The same over all; together well below the connections that pages have.
pub const OF_ALL: usize = 6;
/// How long a question waits for a place before it is turned away. Whoever asks again and again
/// does not cost more than that, and whoever opens three pages at once sees all of them.
const PATIENCE: Duration = Duration::from_secs(2);
/// Reckoning that waits for a thread; more are turned away.
const WAITING: usize = 16;

/// Passwords looked at side by side. Each takes 19 MiB and a core for a while.
const HASHERS: usize = 4;
/// The same for browsers that are known: a crowd of strangers does not stand before them.
const HASHERS_OF_KNOWN: usize = 2;

/// One for the process.
pub struct Turns {
    taken: Mutex<HashMap<(Slow, UserId), usize>>,
    /// Told when a place is given back.
    freed: Notify,
    /// Threads that reckon, half of those that the machine has.
    threads: Arc<Semaphore>,
    waiting: AtomicUsize,
    hashers: Semaphore,
    hashers_of_known: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2));
        Turns {
            taken: Mutex::default(),
            freed: Notify::new(),
            threads: Arc::new(Semaphore::new(threads)),
            waiting: AtomicUsize::new(0),
            hashers: Semaphore::new(HASHERS),
            hashers_of_known: Semaphore::new(HASHERS_OF_KNOWN),
        }
    }
}

/// Why something was not reckoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// Too much waits already.
    Full,
    /// A bug ended it.
    Panicked,
}

impl Turns {
    /// A place for something slow of `person`, now or soon; `None` when they, or all together, have had
    /// as many as may be for a while.
    pub async fn wait(self: &Arc<Self>, slow: Slow, person: UserId) -> Option<SlowTurn> {
        let until = Instant::now() + PATIENCE;
        loop {
            // Before looking: what is given back meanwhile is heard.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(turn) = self.take(slow, person) {
                return Some(turn);
            }
            timeout_at(until, freed).await.ok()?;
        }
    }

    /// The same, now or not at all.
    pub fn take(self: &Arc<Self>, slow: Slow, person: UserId) -> Option<SlowTurn> {
        let whose = (slow, person);
        let mut taken = self.taken.lock().unwrap();
        let of_one = taken.get(&whose).copied().unwrap_or_default();
        let of_all: usize = taken.iter().filter(|((kind, _), _)| *kind == slow).map(|(_, n)| n).sum();
        if OF_ONE <= of_one || OF_ALL <= of_all {
            return None;
        }
        taken.insert(whose, of_one + 1);
        Some(SlowTurn { turns: self.clone(), whose })
    }

    /// Places for passwords that are looked at, of browsers that are known or of others.
    pub fn hashers(&self, known: bool) -> &Semaphore {
        if known { &self.hashers_of_known } else { &self.hashers }
    }

    /// Reckons on a thread that answers no pages. What began goes on to its end when nobody
    /// waits for it any more, and keeps its thread so long.
    pub async fn reckon<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Undone> {
        let _waiting = Waiting::of(&self.waiting).ok_or(Undone::Full)?;
        let thread = self.threads.clone().acquire_owned().await.map_err(|_| Undone::Full)?;
        let done = tokio::task::spawn_blocking(move || {
            let _thread = thread;
            work()
        });
        done.await.map_err(|_| Undone::Panicked)
    }
}

/// A place, given back when it is dropped.
pub struct SlowTurn {
    turns: Arc<Turns>,
    whose: (Slow, UserId),
}

impl Drop for SlowTurn {
    fn drop(&mut self) {
        let mut taken = self.turns.taken.lock().unwrap();
        if let Some(n) = taken.get_mut(&self.whose) {
            *n -= 1;
            if *n == 0 {
                taken.remove(&self.whose);
            }
        }
        drop(taken);
        self.turns.freed.notify_waiters();
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn of(n: &'a AtomicUsize) -> Option<Self> {
        let room = |n| (n < WAITING).then_some(n + 1);
        n.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok().map(|_| Waiting(n))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_two_places_and_all_together_have_six() {
        let turns = Arc::new(Turns::default());
        let take = |person| turns.take(Slow::Question, UserId(person));
        let mut held: Vec<_> = (0..OF_ONE).filter_map(|_| take(1)).collect();
        assert_eq!(held.len(), 2);
        assert!(take(1).is_none() && turns.take(Slow::Table, UserId(1)).is_some());
        held.extend((2..20).filter_map(take));
        assert_eq!(held.len(), OF_ALL);
        held.remove(0);
        assert!(take(1).is_some());
        held.clear();
        assert!(turns.taken.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_for_a_place_and_not_for_ever() {
        let turns = Arc::new(Turns::default());
        let ask = || turns.wait(Slow::Question, UserId(1));
        let (first, second) = (ask().await, ask().await);
        assert!(first.is_some() && second.is_some());

        let third = ask();
        tokio::pin!(third);
        assert!(futures_util::poll!(&mut third).is_pending());
        drop(first);
        let third = third.await;
        assert!(third.is_some());

        let began = Instant::now();
        assert!(ask().await.is_none());
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test]
    async fn reckoning_waits_for_a_thread_and_is_turned_away_when_too_much_waits() {
        let turns = Arc::new(Turns { threads: Arc::new(Semaphore::new(1)), ..Turns::default() });
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let busy = turns.reckon(move || gone.recv().is_err());
        let waiting: Vec<_> = (1..WAITING as i32).map(|n| turns.reckon(move || n)).collect();
        let mut all = Box::pin(futures_util::future::join(busy, futures_util::future::join_all(waiting)));
        assert!(futures_util::poll!(&mut all).is_pending());

        assert_eq!(turns.reckon(|| 0).await, Err(Undone::Full));
        drop(go);
        let (busy, waiting) = all.await;
        assert_eq!(busy, Ok(true));
        assert!(waiting.iter().all(Result::is_ok));
        assert_eq!(turns.reckon(|| panic!("a bug")).await.map(|_: i32| ()), Err(Undone::Panicked));
        assert_eq!(turns.reckon(|| 7).await, Ok(7));
    }
}
