-- How often each value of a column occurs in an imported file, counted once: its
-- rows never change, and a page shows this again and again.
CREATE TABLE file_groups (
    file_id bigint NOT NULL REFERENCES files ON DELETE CASCADE,
    field   text   NOT NULL,
    counts  jsonb  NOT NULL,

    PRIMARY KEY (file_id, field)
);
COMMENT ON COLUMN file_groups.counts IS 'Pairs of a value as it is spelt (null: nothing there) and its rows, the commonest first; null when there are too many to be groups';
