//! Every lock there is, in the order in which one transaction may take them.
//!
//! Two transactions that take the same locks in different orders wait for each
//! other until the database ends one. So there is one order, that of [`Lock`], and
//! whoever locks says so here first: a debug build panics when a transaction goes
//! back up. Of several locks of one kind the smallest id comes first.
//!
//! What is tried, or locked with `SKIP LOCKED`, waits for nobody and may be taken
//! at any time ([`skip`]); others wait for it, so it counts from then on. Not seen
//! here: rows that an `UPDATE` or a foreign key locks by the way.

use std::cell::Cell;

use diesel::connection::InstrumentationEvent;
use diesel::sql_types::{Bool, Integer, Text};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl};

/// In the order in which they are taken. Rows of a table, unless something else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// The form from which a quick campaign was sent off, by its key. Advisory.
    StartKey,
    /// Noticing or releasing lost history. Advisory.
    Loss,
    /// STOP and PAUSE of everything, alone; whoever sets something going, beside others. Advisory.
    Halt,
    Installation,
    /// Attempts to sign in with one e-mail address. Advisory.
    Attempts,
    /// All people who may administer.
    Admins,
    User,
    Settings,
    ConsentRules,
    /// The whole table of the sandbox's rules.
    SandboxRules,
    SandboxPhone,
    Visitor,
    /// A message that waits to leave.
    Queued,
    BlocklistEntry,
    Contact,
    Conversation,
    /// A message that has left.
    Message,
    Campaign,
    Schedule,
    DailyFile,
    File,
    List,
    Bot,
    DryRun,
    Run,
    /// Writing the deliveries of a run. Advisory.
    Preparation,
    Lease,
    Retry,
    /// A send that its provider is asked about.
    LookUp,
    Channel,
    /// How many messages a contact got lately, over all runs. Advisory.
    Lately,
    /// How many people an account has written to first, by its name. Advisory.
    Reach,
    Delivery,
}

/// First halves, or seeds, of the numbers of advisory locks. Two processes of different versions
/// must mean the same by them.
pub mod number {
    pub const MIGRATION: i32 = 7_305_812;
    pub(super) const ATTEMPTS: i32 = 7_305_813;
    pub(super) const PREPARATION: i32 = 7_305_814;
    pub(super) const HALT: i32 = 7_305_815;
    pub(super) const START_KEY: i32 = 7_305_816;
    pub(super) const LOSS: i32 = 7_305_817;
    pub const LATELY: i32 = 7_305_818;
    pub const SENT_OFF: i32 = 7_305_819;
    pub(super) const REACH: i32 = 7_305_820;
    pub const DEMO: i32 = 7_305_840;
}

thread_local! {
    /// The locks that the transaction of this thread has taken, a bit for each; `None` outside one.
    static HELD: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Says that this transaction is about to wait for a lock.
pub fn take(lock: Lock) {
    if cfg!(debug_assertions)
        && let Some(held) = HELD.get()
    {
        let last = held.checked_ilog2();
        let in_order = held & bit(lock) != 0 || last.is_none_or(|last| last < lock as u32);
        assert!(in_order, "{lock:?} is locked behind lock number {last:?}, against the order in db/locks.rs");
        skip(lock);
    }
}

/// Says that this transaction is about to take a lock without waiting for it.
pub fn skip(lock: Lock) {
    if cfg!(debug_assertions)
        && let Some(held) = HELD.get()
    {
        HELD.set(Some(held | bit(lock)));
    }
}

fn bit(lock: Lock) -> u64 {
    1 << lock as u64
}

/// Sees transactions begin and end.
pub(super) fn look(event: &InstrumentationEvent<'_>) {
    match event {
        InstrumentationEvent::BeginTransaction { depth, .. } if depth.get() == 1 => HELD.set(Some(0)),
        InstrumentationEvent::CommitTransaction { depth, .. }
        | InstrumentationEvent::RollbackTransaction { depth, .. }
            if depth.get() == 1 =>
        {
            HELD.set(None);
        }
        _ => {}
    }
}

/// The turn to notice or release lost history, until this transaction ends.
pub fn take_loss(conn: &mut PgConnection) -> QueryResult<()> {
    take(Lock::Loss);
    wait(conn, "SELECT pg_advisory_xact_lock($1)", number::LOSS)
}

/// The turn that STOP and PAUSE of everything need for themselves. Whoever sets something
/// going takes it beside the others, so that nothing starts unseen between the statements
/// of a stop.
pub fn take_halt(conn: &mut PgConnection, alone: bool) -> QueryResult<()> {
    take(Lock::Halt);
    let sql = if alone { "SELECT pg_advisory_xact_lock($1)" } else { "SELECT pg_advisory_xact_lock_shared($1)" };
    wait(conn, sql, number::HALT)
}

fn wait(conn: &mut PgConnection, sql: &str, number: i32) -> QueryResult<()> {
    diesel::sql_query(sql).bind::<Integer, _>(number).execute(conn).map(drop)
}

/// The turn to count whom an account has written to first, until this transaction ends.
pub fn take_reach(conn: &mut PgConnection, account: &str) -> QueryResult<()> {
    take(Lock::Reach);
    diesel::sql_query("SELECT pg_advisory_xact_lock($2, hashtext($1))")
        .bind::<Text, _>(account)
        .bind::<Integer, _>(number::REACH)
        .execute(conn)
        .map(drop)
}

/// Lets one request at a time start something under this key; others wait for its transaction.
pub fn take_start_key(conn: &mut PgConnection, key: &str) -> QueryResult<()> {
    take(Lock::StartKey);
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, $2))")
        .bind::<Text, _>(key)
        .bind::<Integer, _>(number::START_KEY)
        .execute(conn)
        .map(drop)
}

/// Makes other attempts to sign in with this e-mail address wait until this transaction ends.
pub fn take_attempts(conn: &mut PgConnection, email: &str) -> QueryResult<()> {
    take(Lock::Attempts);
    diesel::sql_query("SELECT pg_advisory_xact_lock($2, hashtext($1))")
        .bind::<Text, _>(email)
        .bind::<Integer, _>(number::ATTEMPTS)
        .execute(conn)
        .map(drop)
}

/// Makes the one who calls first the only one to prepare this run until its transaction ends.
pub fn try_preparation(conn: &mut PgConnection, run: i64) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Mine {
        #[diesel(sql_type = Bool)]
        mine: bool,
    }
    skip(Lock::Preparation);
    diesel::sql_query("SELECT pg_try_advisory_xact_lock($1, $2) AS mine")
        .bind::<Integer, _>(number::PREPARATION)
        .bind::<Integer, _>((run % i64::from(i32::MAX)) as i32)
        .get_result::<Mine>(conn)
        .map(|it| it.mine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_may_be_taken_again_and_after_earlier_ones() {
        HELD.set(Some(0));
        for lock in [Lock::Campaign, Lock::Schedule, Lock::Run, Lock::Campaign] {
            take(lock);
        }
    }

    #[test]
    #[should_panic(expected = "Campaign is locked behind")]
    fn a_lock_after_a_later_one_is_a_bug() {
        HELD.set(Some(0));
        take(Lock::Schedule);
        take(Lock::Campaign);
    }

    #[test]
    #[should_panic(expected = "Run is locked behind")]
    fn what_is_taken_without_waiting_counts_from_then_on() {
        HELD.set(Some(0));
        take(Lock::Schedule);
        skip(Lock::Retry);
        skip(Lock::Conversation);
        take(Lock::Run);
    }

    #[test]
    fn outside_a_transaction_nothing_is_held() {
        HELD.set(None);
        take(Lock::Delivery);
        take(Lock::Campaign);
    }
}
