-- Schedules that send a bot instead of a text, and campaigns in which the contact writes first.

ALTER TABLE campaigns
    DROP CONSTRAINT kind_is_known,
    ADD COLUMN validity_minutes integer NOT NULL DEFAULT 1440,
    ADD COLUMN inbound          jsonb,
    ADD CONSTRAINT kind_is_known CHECK (kind IN ('once_off', 'daily', 'recurring', 'quick', 'inbound')),
    ADD CONSTRAINT validity_is_an_hour_to_90_days CHECK (validity_minutes BETWEEN 60 AND 129600),
    ADD CONSTRAINT inbound_has_its_plan CHECK ((kind = 'inbound') = (inbound IS NOT NULL) AND (kind = 'inbound') = (direction = 'inbound'));
COMMENT ON COLUMN campaigns.validity_minutes IS 'How long after its last message a conversation can be continued; asked at every message, so a change holds at once';
COMMENT ON COLUMN campaigns.inbound          IS 'Hours and texts of an inbound campaign; see campaigns::inbound::Plan';

ALTER TABLE schedules
    DROP CONSTRAINT body_is_given,
    ADD COLUMN bot_id      bigint,
    ADD COLUMN bot_version integer,
    ADD COLUMN inbound     boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT bot_is_a_version      FOREIGN KEY (bot_id, bot_version) REFERENCES bot_versions (bot_id, n),
    ADD CONSTRAINT bot_has_its_version   CHECK ((bot_id IS NULL) = (bot_version IS NULL)),
    ADD CONSTRAINT body_or_bot_is_given  CHECK ((body <> '') = (bot_id IS NULL)),
    ADD CONSTRAINT inbound_has_no_dates  CHECK (NOT inbound OR (run_date IS NULL AND recurrence IS NULL));
COMMENT ON COLUMN schedules.body        IS 'The text with #field and #field|fallback# in it; empty when it sends a bot';
COMMENT ON COLUMN schedules.bot_version IS 'What was chosen; publishing another version changes nothing here';
COMMENT ON COLUMN schedules.inbound     IS 'Meets those who write first on its channel';
CREATE INDEX schedules_of_bot ON schedules (bot_id) WHERE bot_id IS NOT NULL;
-- The question of every message of somebody new: which schedule meets them on this channel?
CREATE INDEX schedules_inbound ON schedules (channel_id) WHERE inbound AND state = 'active';

ALTER TABLE schedule_runs
    ADD COLUMN bot_id      bigint,
    ADD COLUMN bot_version integer,
    ADD CONSTRAINT bot_is_a_version    FOREIGN KEY (bot_id, bot_version) REFERENCES bot_versions (bot_id, n),
    ADD CONSTRAINT bot_has_its_version CHECK ((bot_id IS NULL) = (bot_version IS NULL));
COMMENT ON COLUMN schedule_runs.bot_version IS 'The schedule''s when the run was made; its contacts meet this version whatever happens to the schedule';

-- Deliveries of bots that a provider has taken, whose conversation is still to be
-- written down. A few at any time: the engine empties it within moments.
CREATE TABLE openings (
    run_id bigint      NOT NULL,
    seq    integer     NOT NULL,
    at     timestamptz NOT NULL,

    PRIMARY KEY (run_id, seq)
);
COMMENT ON COLUMN openings.at IS 'When the bot took its first turn: taken again at this instant, it says the same';

-- The search bar also finds a campaign by its bots.
COMMENT ON COLUMN campaigns.search IS 'Its name, its schedules'' names, its bots'' names, its file''s name and the name of the daily file it expects, one a line; kept by triggers, asked by the search bar';
CREATE OR REPLACE FUNCTION campaigns_search_text(id bigint, name text, file_id bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT concat_ws(E'\n', $2,
        (SELECT string_agg(s.name, E'\n' ORDER BY s.id) FROM schedules s WHERE s.campaign_id = $1),
        (SELECT string_agg(b.name, E'\n' ORDER BY b.id) FROM bots b
         WHERE b.id IN (SELECT s.bot_id FROM schedules s WHERE s.campaign_id = $1)),
        (SELECT f.name FROM files f WHERE f.id = $3),
        (SELECT nullif(p.expected_name, '') FROM daily_plans p WHERE p.campaign_id = $1))
$$;
DROP TRIGGER keep_search_on_schedule ON schedules;
CREATE TRIGGER keep_search_on_schedule AFTER INSERT OR UPDATE OF name, bot_id OR DELETE ON schedules
    FOR EACH ROW EXECUTE FUNCTION keep_schedule_search();
CREATE FUNCTION keep_bot_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE campaigns SET search = '' WHERE id IN (SELECT campaign_id FROM schedules WHERE bot_id = NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER keep_search_on_bot AFTER UPDATE OF name ON bots FOR EACH ROW EXECUTE FUNCTION keep_bot_search();
