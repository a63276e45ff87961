-- Files that people dropped into a daily campaign, whatever became of them.
CREATE TABLE drops (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id    bigint      NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    day            date        NOT NULL,
    file_id        bigint      REFERENCES files ON DELETE SET NULL,
    name           text        NOT NULL,
    sha256         bytea,
    mode           text,
    state          text        NOT NULL,
    failed         text,
    refusal        text,
    day_allowed    boolean     NOT NULL DEFAULT false,
    window_allowed boolean     NOT NULL DEFAULT false,
    name_allowed   boolean     NOT NULL DEFAULT false,
    allowed_by     bigint      REFERENCES users,
    ends_at        timestamptz,
    contacts       bigint,
    already_there  bigint,
    no_group       bigint,
    new_columns    jsonb       NOT NULL DEFAULT '[]',
    dropped_by     bigint      NOT NULL REFERENCES users,
    dropped_at     timestamptz NOT NULL,
    decided_by     bigint      REFERENCES users,
    decided_at     timestamptz,

    CONSTRAINT state_is_known           CHECK (state IN ('importing', 'asked', 'launched', 'refused')),
    CONSTRAINT mode_is_known            CHECK (mode IN ('first', 'add', 'replace')),
    CONSTRAINT taken_in_has_mode        CHECK ((state IN ('importing', 'launched')) = (mode IS NOT NULL)),
    CONSTRAINT taken_in_has_file        CHECK (state NOT IN ('importing', 'asked') OR file_id IS NOT NULL),
    CONSTRAINT refused_has_refusal      CHECK ((state = 'refused') = (refusal IS NOT NULL AND failed IS NOT NULL)),
    CONSTRAINT failed_is_known          CHECK (failed IN ('day', 'window', 'name', 'rows', 'columns', 'same', 'end', 'over', 'file', 'run', 'left'))
);
COMMENT ON COLUMN drops.day            IS 'The day it is for, in the campaign''s time zone';
COMMENT ON COLUMN drops.file_id        IS 'NULL when nothing of it was kept';
COMMENT ON COLUMN drops.mode           IS 'first: it makes the day''s runs; add: its contacts join them; replace: they take the place of what is unsent';
COMMENT ON COLUMN drops.state          IS 'importing, until its rows are read and its runs made; asked: another file came before it and somebody has to say what to do';
COMMENT ON COLUMN drops.failed         IS 'The check that refused it';
COMMENT ON COLUMN drops.refusal        IS 'Why, in words for the person who dropped it';
COMMENT ON COLUMN drops.name_allowed   IS 'Somebody let it in although it has another name; likewise the day and the window';
COMMENT ON COLUMN drops.ends_at        IS 'When runs end that would have ended before it came; somebody gave this new end';
COMMENT ON COLUMN drops.already_there  IS 'Contacts left out because a run of the day has them';
COMMENT ON COLUMN drops.no_group       IS 'Contacts that no schedule serves';
COMMENT ON COLUMN drops.new_columns    IS 'Columns that came with it and were taken into the template';
-- Two people who drop at once: one of them is first.
CREATE UNIQUE INDEX one_first_file_per_day ON drops (campaign_id, day) WHERE mode = 'first' AND state IN ('importing', 'launched');
CREATE INDEX drops_of_campaign ON drops (campaign_id, id DESC);
CREATE INDEX drops_to_launch   ON drops (id) WHERE state = 'importing';

-- Expected days on which no file came.
CREATE TABLE missed_days (
    campaign_id bigint      NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    day         date        NOT NULL,
    at          timestamptz NOT NULL,

    PRIMARY KEY (campaign_id, day)
);
COMMENT ON COLUMN missed_days.at IS 'When the clock noticed: after the window had closed';
