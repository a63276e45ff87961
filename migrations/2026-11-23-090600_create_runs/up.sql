-- A run is a numbered row of contacts. Claiming the next k of them moves one
-- number on this row, and pausing or stopping updates this same row: that is
-- the fence. After a pause has committed, no claim by any process can follow.
CREATE TABLE schedule_runs (
    id             bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    schedule_id    bigint           NOT NULL REFERENCES schedules ON DELETE CASCADE,
    campaign_id    bigint           NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    channel_id     bigint           NOT NULL REFERENCES channels,
    file_id        bigint           NOT NULL REFERENCES files,
    name           text             NOT NULL,
    run_date       date             NOT NULL,
    body           text             NOT NULL,
    starts_at      timestamptz      NOT NULL,
    ends_at        timestamptz      NOT NULL,
    late_policy    text             NOT NULL,
    state          text             NOT NULL DEFAULT 'waiting',
    prepared_at    timestamptz,
    next_seq       integer          NOT NULL DEFAULT 1,
    last_seq       integer          NOT NULL DEFAULT 0,
    rate           double precision NOT NULL,
    clock_base     double precision NOT NULL DEFAULT 0,
    clock_since    timestamptz,
    paused_at      timestamptz,
    released       bigint           NOT NULL DEFAULT 0,
    burst          bigint           NOT NULL DEFAULT 0,
    ended_at       timestamptz,

    CONSTRAINT one_run_per_date       UNIQUE (schedule_id, run_date),
    CONSTRAINT window_is_not_empty    CHECK (starts_at < ends_at),
    CONSTRAINT state_is_known         CHECK (state IN ('waiting', 'running', 'paused', 'completed', 'overrun', 'stopped')),
    CONSTRAINT running_has_clock      CHECK (state <> 'running' OR clock_since IS NOT NULL),
    CONSTRAINT running_is_prepared    CHECK (state NOT IN ('running', 'completed') OR prepared_at IS NOT NULL),
    CONSTRAINT waiting_has_no_clock   CHECK (state <> 'waiting' OR clock_since IS NULL),
    CONSTRAINT paused_has_since       CHECK ((state = 'paused') = (paused_at IS NOT NULL)),
    CONSTRAINT ended_has_timestamp    CHECK ((state IN ('completed', 'overrun', 'stopped')) = (ended_at IS NOT NULL)),
    CONSTRAINT seq_stays_in_the_row   CHECK (next_seq BETWEEN 1 AND last_seq + 1),
    CONSTRAINT rate_is_positive       CHECK (rate > 0)
) WITH (fillfactor = 30);
COMMENT ON COLUMN schedule_runs.name        IS 'Campaign name, hyphen, date';
COMMENT ON COLUMN schedule_runs.body        IS 'The text as it was at launch; later edits of the schedule do not reach a run';
COMMENT ON COLUMN schedule_runs.prepared_at IS 'When its deliveries were written; a run starts only after that';
COMMENT ON COLUMN schedule_runs.next_seq    IS 'The next contact to claim; all before it have been claimed, none after it';
COMMENT ON COLUMN schedule_runs.last_seq    IS 'How many contacts it has';
COMMENT ON COLUMN schedule_runs.rate        IS 'Sends a minute that the clock releases';
COMMENT ON COLUMN schedule_runs.clock_base  IS 'Sends the clock had released at clock_since';
COMMENT ON COLUMN schedule_runs.clock_since IS 'Since when rate holds; moved on by the length of every pause. NULL before the start';
COMMENT ON COLUMN schedule_runs.released    IS 'Sends claimed so far, second attempts included';
COMMENT ON COLUMN schedule_runs.burst       IS 'The first so many sends may leave at once, to catch up with a late start';
-- The engine's questions: what waits to be prepared or started, what runs, what is past its end?
CREATE INDEX runs_unprepared ON schedule_runs (id) WHERE prepared_at IS NULL;
CREATE INDEX runs_waiting    ON schedule_runs (starts_at) WHERE state = 'waiting';
CREATE INDEX runs_underway   ON schedule_runs (id) WHERE state IN ('running', 'paused');
CREATE INDEX runs_not_ended  ON schedule_runs (ends_at) WHERE state IN ('waiting', 'running', 'paused');
CREATE INDEX runs_of_campaign ON schedule_runs (campaign_id);
CREATE INDEX runs_by_date ON schedule_runs (run_date);

-- One contact times one run: what happened to that contact, and why. The only
-- outbox and the only ledger.
--
-- A claim writes no row here. A row is written when its run is prepared, when
-- its send settles, and when a receipt says more. Until something is known
-- outcome and progress are NULL, and what that means follows from the run: not
-- claimed yet (seq >= next_seq), waiting for another try (in retries), or in
-- flight. Nothing that changes is indexed, so settling stays a HOT update.
CREATE TABLE deliveries (
    run_id       bigint   NOT NULL REFERENCES schedule_runs ON DELETE CASCADE,
    seq          integer  NOT NULL,
    contact_id   bigint   NOT NULL,
    address      text     NOT NULL,
    customer_id  text,
    "values"     jsonb    NOT NULL,
    progress     smallint,
    outcome      smallint,
    attempt      smallint,
    detail       text,
    provider_ref text,
    settled_at   timestamptz,

    PRIMARY KEY (run_id, seq),
    CONSTRAINT progress_is_known       CHECK (progress IN (1, 2)),
    CONSTRAINT outcome_is_known        CHECK (outcome IN (0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 14, 20, 21, 22, 23, 24)),
    CONSTRAINT settled_has_timestamp   CHECK ((outcome IS NULL AND progress IS NULL) = (settled_at IS NULL))
) WITH (fillfactor = 85);
COMMENT ON COLUMN deliveries.progress     IS '1 accepted by the provider, 2 sent on by it; NULL before that';
COMMENT ON COLUMN deliveries.outcome      IS 'The final word; codes in deliveries::domain::Outcome. NULL while there is none';
COMMENT ON COLUMN deliveries.attempt      IS 'Number of the attempt that settled it, 1 for the first; 0 when it was never handed over';
COMMENT ON COLUMN deliveries.detail       IS 'What the provider or we said about it, never the text or the address';

-- The right to send a range of contacts once. A lease whose sends have all
-- settled has open = 0. One that expires with open > 0 belongs to a process
-- that died: whatever it left without an outcome is unconfirmed.
CREATE TABLE leases (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id         bigint      NOT NULL REFERENCES schedule_runs ON DELETE CASCADE,
    lo             integer     NOT NULL,
    hi             integer     NOT NULL,
    attempt        smallint    NOT NULL,
    open           integer     NOT NULL,
    released_before bigint     NOT NULL,
    channel_id     bigint      NOT NULL,
    channel_before bigint,
    process        uuid        NOT NULL,
    last_batch     uuid,
    taken_at       timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,

    CONSTRAINT one_attempt_each    UNIQUE (run_id, lo, attempt),
    CONSTRAINT range_is_not_empty  CHECK (lo <= hi),
    CONSTRAINT open_fits_the_range CHECK (open BETWEEN 0 AND hi - lo + 1)
) WITH (fillfactor = 70);
COMMENT ON COLUMN leases.attempt         IS 'Counts tries at this range, from 1; ranges of a later try are one contact wide';
COMMENT ON COLUMN leases.open            IS 'Sends not settled yet';
COMMENT ON COLUMN leases.released_before IS 'The run''s released before this lease: what the last 60 s took is one subtraction';
COMMENT ON COLUMN leases.channel_before  IS 'The same for the channel; NULL when it had no limit';
COMMENT ON COLUMN leases.last_batch      IS 'The results that closed part of it last. Written again after a commit whose answer was lost, they find their own mark and change nothing';
COMMENT ON COLUMN leases.expires_at      IS 'A send that has not settled by then never will';
CREATE INDEX leases_recent  ON leases (run_id, taken_at);
CREATE INDEX leases_recent_of_channel ON leases (channel_id, taken_at) WHERE channel_before IS NOT NULL;
CREATE INDEX leases_open ON leases (run_id) WHERE open > 0;

-- The few that were told "later" before anything was processed.
CREATE TABLE retries (
    run_id  bigint      NOT NULL,
    seq     integer     NOT NULL,
    attempt smallint    NOT NULL,
    due_at  timestamptz NOT NULL,
    detail  text,

    PRIMARY KEY (run_id, seq),
    FOREIGN KEY (run_id, seq) REFERENCES deliveries (run_id, seq) ON DELETE CASCADE
);
COMMENT ON COLUMN retries.attempt IS 'Number of the attempt to make, 2 or more';

-- Counts of a run kept beside its rows, changed in the same transaction. They
-- are spread over a few shards so that several settlers do not wait for one
-- another; a count is the sum over the shards, and one shard may be negative.
CREATE TABLE tallies (
    run_id      bigint   NOT NULL REFERENCES schedule_runs ON DELETE CASCADE,
    shard       smallint NOT NULL,
    accepted    bigint   NOT NULL DEFAULT 0,
    delivered   bigint   NOT NULL DEFAULT 0,
    failed      bigint   NOT NULL DEFAULT 0,
    skipped     bigint   NOT NULL DEFAULT 0,
    unconfirmed bigint   NOT NULL DEFAULT 0,
    retrying    bigint   NOT NULL DEFAULT 0,

    PRIMARY KEY (run_id, shard)
) WITH (fillfactor = 50);
COMMENT ON COLUMN tallies.accepted IS 'Accepted or sent on, and no final word yet';
