DROP TABLE daily_plans;
CREATE OR REPLACE FUNCTION campaigns_search_text(id bigint, name text, file_id bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT concat_ws(E'\n', $2,
        (SELECT string_agg(s.name, E'\n' ORDER BY s.id) FROM schedules s WHERE s.campaign_id = $1),
        (SELECT f.name FROM files f WHERE f.id = $3))
$$;
COMMENT ON COLUMN campaigns.search IS 'Its name, its schedules'' names and its file''s name, one a line; kept by triggers, asked by the search bar';
