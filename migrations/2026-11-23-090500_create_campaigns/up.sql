CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- A campaign ties contacts to texts through schedules.
CREATE TABLE campaigns (
    id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             text        NOT NULL,
    direction        text        NOT NULL DEFAULT 'outbound',
    kind             text        NOT NULL DEFAULT 'once_off',
    time_zone        text        NOT NULL,
    state            text        NOT NULL DEFAULT 'draft',
    file_id          bigint      REFERENCES files,
    search           text        NOT NULL DEFAULT '',
    created_by       bigint      REFERENCES users,
    created_at       timestamptz NOT NULL,
    launched_at      timestamptz,
    ended_at         timestamptz,

    CONSTRAINT name_is_given          CHECK (btrim(name) <> ''),
    CONSTRAINT direction_is_known     CHECK (direction IN ('outbound', 'inbound')),
    CONSTRAINT kind_is_known          CHECK (kind IN ('once_off')),
    CONSTRAINT state_is_known         CHECK (state IN ('draft', 'active', 'paused', 'stopped', 'finished', 'archived')),
    CONSTRAINT launched_has_timestamp CHECK ((state = 'draft') = (launched_at IS NULL)),
    CONSTRAINT launched_has_file      CHECK (state = 'draft' OR file_id IS NOT NULL),
    CONSTRAINT ended_has_timestamp    CHECK ((state IN ('stopped', 'finished', 'archived')) = (ended_at IS NOT NULL))
);
COMMENT ON COLUMN campaigns.time_zone IS 'IANA name; the dates and times of its schedules are meant there';
COMMENT ON COLUMN campaigns.search    IS 'Its name, its schedules'' names and its file''s name, one a line; kept by triggers, asked by the search bar';
CREATE UNIQUE INDEX one_campaign_per_name ON campaigns (lower(name));
CREATE INDEX campaigns_by_state  ON campaigns (state, id DESC);
CREATE INDEX campaigns_by_search ON campaigns USING gin (search gin_trgm_ops);

-- The plan inside a campaign: what goes where, when and how fast.
CREATE TABLE schedules (
    id           bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id  bigint           NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    name         text             NOT NULL,
    channel_id   bigint           NOT NULL REFERENCES channels,
    body         text             NOT NULL,
    run_date     date             NOT NULL,
    start_time   time             NOT NULL,
    end_time     time             NOT NULL,
    rate         double precision NOT NULL,
    late_policy  text             NOT NULL DEFAULT 'catch_up',
    state        text             NOT NULL DEFAULT 'active',
    paused_at    timestamptz,
    paused_with  text,

    CONSTRAINT name_is_given            CHECK (btrim(name) <> ''),
    CONSTRAINT body_is_given            CHECK (body <> ''),
    CONSTRAINT one_schedule_per_name    UNIQUE (campaign_id, name),
    CONSTRAINT rate_is_positive         CHECK (rate > 0 AND rate <= 6000000),
    CONSTRAINT late_policy_is_known     CHECK (late_policy IN ('catch_up', 'spread', 'keep_rate')),
    CONSTRAINT state_is_known           CHECK (state IN ('active', 'paused', 'stopped', 'finished')),
    CONSTRAINT paused_has_since         CHECK ((state = 'paused') = (paused_at IS NOT NULL)),
    CONSTRAINT paused_has_paused_with   CHECK ((state = 'paused') = (paused_with IS NOT NULL)),
    CONSTRAINT paused_with_is_known     CHECK (paused_with IN ('schedule', 'campaign'))
);
COMMENT ON COLUMN schedules.body        IS 'The text with #field and #field|fallback# in it';
COMMENT ON COLUMN schedules.run_date    IS 'Day on which it runs, in the campaign''s time zone';
COMMENT ON COLUMN schedules.end_time    IS 'At or before start_time it means the next day';
COMMENT ON COLUMN schedules.rate        IS 'Messages a minute';
COMMENT ON COLUMN schedules.paused_with IS 'campaign: it was held together with its campaign and goes on together with it';

CREATE FUNCTION campaigns_search_text(id bigint, name text, file_id bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT concat_ws(E'\n', $2,
        (SELECT string_agg(s.name, E'\n' ORDER BY s.id) FROM schedules s WHERE s.campaign_id = $1),
        (SELECT f.name FROM files f WHERE f.id = $3))
$$;

CREATE FUNCTION keep_campaign_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search := campaigns_search_text(NEW.id, NEW.name, NEW.file_id);
    RETURN NEW;
END $$;
CREATE TRIGGER keep_search BEFORE INSERT OR UPDATE OF name, file_id, search ON campaigns
    FOR EACH ROW EXECUTE FUNCTION keep_campaign_search();

CREATE FUNCTION keep_schedule_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE campaigns SET search = '' WHERE id = coalesce(NEW.campaign_id, OLD.campaign_id);
    RETURN NULL;
END $$;
CREATE TRIGGER keep_search_on_schedule AFTER INSERT OR UPDATE OF name OR DELETE ON schedules
    FOR EACH ROW EXECUTE FUNCTION keep_schedule_search();
