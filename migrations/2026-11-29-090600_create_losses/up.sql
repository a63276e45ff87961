-- A database can forget what it had confirmed: an older dump is restored, or a
-- standby takes over that was behind. Whoever notices writes a loss, and while one is
-- open no claim is made by any process: every claim asks this table.
CREATE TABLE losses (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    noticed_at  timestamptz NOT NULL,
    reaches     timestamptz,
    until       timestamptz NOT NULL,
    replies     bigint      NOT NULL DEFAULT 0,
    released_at timestamptz,
    released_by bigint      REFERENCES users,
    again       boolean,

    CONSTRAINT released_by_somebody CHECK ((released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (again IS NULL))
);
COMMENT ON COLUMN losses.reaches     IS 'The newest thing that the database still knew; NULL when it knew nothing';
COMMENT ON COLUMN losses.until       IS 'The newest instant of which a process knew that something was claimed or written down';
COMMENT ON COLUMN losses.replies     IS 'Replies that may have left, and are unconfirmed';
COMMENT ON COLUMN losses.released_at IS 'When somebody let everything go on; NULL: everything is held';
COMMENT ON COLUMN losses.again       IS 'Whether those who may have got it are sent to again';
CREATE UNIQUE INDEX one_loss_is_open ON losses ((true)) WHERE released_at IS NULL;

-- Runs that had come further than the database knows.
--
-- Without a foreign key to the runs: some are not known any more.
CREATE TABLE lost_runs (
    loss_id bigint  NOT NULL REFERENCES losses ON DELETE CASCADE,
    run_id  bigint  NOT NULL,
    name    text    NOT NULL,
    known   boolean NOT NULL,
    lo      integer NOT NULL,
    hi      integer NOT NULL,
    waiting bigint  NOT NULL DEFAULT 0,
    held    text,

    PRIMARY KEY (loss_id, run_id)
);
COMMENT ON COLUMN lost_runs.known   IS 'Whether the database still has the run';
COMMENT ON COLUMN lost_runs.lo      IS 'The first contact that may have been sent to without the database knowing';
COMMENT ON COLUMN lost_runs.hi      IS 'The last one; before lo when there is none';
COMMENT ON COLUMN lost_runs.waiting IS 'Contacts that waited for another try, and may have had it';
COMMENT ON COLUMN lost_runs.held    IS 'Why its schedule was paused; NULL: it goes on when everything does';
