-- Refused while campaigns send bots or wait for those who write first: nothing else could hold them.
DROP TRIGGER keep_search_on_bot ON bots;
DROP FUNCTION keep_bot_search();
DROP TRIGGER keep_search_on_schedule ON schedules;
CREATE TRIGGER keep_search_on_schedule AFTER INSERT OR UPDATE OF name OR DELETE ON schedules
    FOR EACH ROW EXECUTE FUNCTION keep_schedule_search();
CREATE OR REPLACE FUNCTION campaigns_search_text(id bigint, name text, file_id bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT concat_ws(E'\n', $2,
        (SELECT string_agg(s.name, E'\n' ORDER BY s.id) FROM schedules s WHERE s.campaign_id = $1),
        (SELECT f.name FROM files f WHERE f.id = $3),
        (SELECT nullif(p.expected_name, '') FROM daily_plans p WHERE p.campaign_id = $1))
$$;
DROP TABLE openings;
ALTER TABLE schedule_runs DROP COLUMN bot_id, DROP COLUMN bot_version;
ALTER TABLE schedules
    DROP COLUMN bot_id, DROP COLUMN bot_version, DROP COLUMN inbound,
    ADD CONSTRAINT body_is_given CHECK (body <> '');
ALTER TABLE campaigns
    DROP COLUMN validity_minutes, DROP COLUMN inbound,
    DROP CONSTRAINT kind_is_known,
    ADD CONSTRAINT kind_is_known CHECK (kind IN ('once_off', 'daily', 'recurring', 'quick'));
