-- A bot is a name for numbered versions of steps, and a draft of the next one.
CREATE TABLE bots (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text        NOT NULL,
    created_by  bigint      REFERENCES users,
    created_at  timestamptz NOT NULL,
    archived_at timestamptz,

    CONSTRAINT name_is_given CHECK (name <> '')
);
COMMENT ON COLUMN bots.archived_at IS 'Since when it is out of the way; what already uses one of its versions goes on';
CREATE UNIQUE INDEX one_bot_per_name ON bots (lower(name));

-- What conversations pin: written once, never changed.
CREATE TABLE bot_versions (
    bot_id  bigint      NOT NULL REFERENCES bots,
    n       integer     NOT NULL,
    steps   jsonb       NOT NULL,
    note    text        NOT NULL,
    made_by bigint      REFERENCES users,
    made_at timestamptz NOT NULL,

    PRIMARY KEY (bot_id, n),
    CONSTRAINT versions_count_from_one CHECK (n >= 1)
);
COMMENT ON COLUMN bot_versions.steps IS 'See bots::steps::Steps';

CREATE FUNCTION refuse_change_of_bot_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version of a bot never changes';
END $$;
CREATE TRIGGER never_changes BEFORE UPDATE OR DELETE ON bot_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_bot_version();

-- What the editor changes: one for each bot.
CREATE TABLE bot_drafts (
    bot_id     bigint      PRIMARY KEY REFERENCES bots,
    steps      jsonb       NOT NULL,
    based_on   integer,
    changed_by bigint      REFERENCES users,
    changed_at timestamptz NOT NULL,
    revision   integer     NOT NULL DEFAULT 1
);
COMMENT ON COLUMN bot_drafts.based_on IS 'The version whose steps it began as';
COMMENT ON COLUMN bot_drafts.revision IS 'Counts the changes: an editor that saw an older one is refused';
