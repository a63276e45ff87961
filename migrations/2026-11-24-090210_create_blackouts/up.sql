-- Days on which nothing is sent, whatever campaigns plan.
CREATE TABLE blackouts (
    day      date        PRIMARY KEY,
    name     text        NOT NULL,
    added_by bigint      REFERENCES users,
    added_at timestamptz NOT NULL,

    CONSTRAINT name_is_given CHECK (btrim(name) <> '')
);
COMMENT ON COLUMN blackouts.day      IS 'As the clocks of a campaign''s time zone have it; the journal writes it as a number: 20261225';
COMMENT ON COLUMN blackouts.added_by IS 'NULL when it came from the command line';
