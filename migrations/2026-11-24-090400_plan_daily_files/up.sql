-- When the file of a daily campaign is expected, what it is called, and what its
-- columns are.
CREATE TABLE daily_plans (
    campaign_id   bigint      PRIMARY KEY REFERENCES campaigns ON DELETE CASCADE,
    opens         time        NOT NULL,
    closes        time        NOT NULL,
    days          smallint    NOT NULL,
    expected_name text        NOT NULL DEFAULT '',
    template      jsonb,
    closes_at     timestamptz,

    CONSTRAINT opens_before_it_closes CHECK (opens < closes),
    CONSTRAINT days_are_of_the_week   CHECK (days BETWEEN 1 AND 127)
);
COMMENT ON COLUMN daily_plans.opens         IS 'From then on the day''s file may come, in the campaign''s time zone';
COMMENT ON COLUMN daily_plans.days          IS 'Days on which a file is expected: Monday is 1, Tuesday 2, Wednesday 4, Sunday 64';
COMMENT ON COLUMN daily_plans.expected_name IS 'With * for anything and {date}, {yyyy}, {mm}, {dd} for the day''s date; empty: any name';
COMMENT ON COLUMN daily_plans.template      IS 'Columns of the sample file and of those taken in since, see drops::domain::Template; NULL before the launch';
COMMENT ON COLUMN daily_plans.closes_at     IS 'When the next expected window closes and is looked at: a day without a file was missed. NULL before the launch';
-- The clock's question: which window has closed?
CREATE INDEX daily_plans_to_close ON daily_plans (closes_at) WHERE closes_at IS NOT NULL;

-- The search bar also finds a campaign by the name of the file it waits for.
COMMENT ON COLUMN campaigns.search IS 'Its name, its schedules'' names, its file''s name and the name of the daily file it expects, one a line; kept by triggers, asked by the search bar';
CREATE OR REPLACE FUNCTION campaigns_search_text(id bigint, name text, file_id bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT concat_ws(E'\n', $2,
        (SELECT string_agg(s.name, E'\n' ORDER BY s.id) FROM schedules s WHERE s.campaign_id = $1),
        (SELECT f.name FROM files f WHERE f.id = $3),
        (SELECT nullif(p.expected_name, '') FROM daily_plans p WHERE p.campaign_id = $1))
$$;
CREATE TRIGGER keep_search_on_daily_plan AFTER INSERT OR UPDATE OF expected_name OR DELETE ON daily_plans
    FOR EACH ROW EXECUTE FUNCTION keep_schedule_search();
