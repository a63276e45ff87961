-- The last check of every message of a draft.
CREATE TABLE dry_runs (
    campaign_id   bigint      PRIMARY KEY REFERENCES campaigns ON DELETE CASCADE,
    fingerprint   text        NOT NULL,
    state         text        NOT NULL DEFAULT 'waiting',
    rows_done     bigint      NOT NULL DEFAULT 0,
    rows          bigint      NOT NULL,
    result        jsonb,
    worker        uuid,
    lease_ends_at timestamptz,
    asked_at      timestamptz NOT NULL,
    done_at       timestamptz,

    CONSTRAINT dry_run_state_is_known CHECK (state IN ('waiting', 'running', 'done')),
    CONSTRAINT done_has_result        CHECK ((state = 'done') = (result IS NOT NULL AND done_at IS NOT NULL)),
    CONSTRAINT running_has_lease      CHECK ((state = 'running') = (worker IS NOT NULL AND lease_ends_at IS NOT NULL))
);
COMMENT ON COLUMN dry_runs.fingerprint   IS 'Of what was checked; another one of the campaign now: it was changed since';
COMMENT ON COLUMN dry_runs.result        IS 'See campaigns::dry_run::Checked';
COMMENT ON COLUMN dry_runs.lease_ends_at IS 'Without news of the worker until then, another one starts it over';
-- The question of the tick: what waits?
CREATE INDEX dry_runs_open ON dry_runs (asked_at) WHERE state <> 'done';
