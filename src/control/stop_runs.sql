-- Stop every run in a state of $1. This is the fence: a claim under way finishes
-- first, since it holds the run's row, and none can follow. No delivery is touched.
WITH hit AS (
    SELECT id, campaign_id, state FROM schedule_runs WHERE state = ANY ($1) ORDER BY id FOR NO KEY UPDATE
), stopped AS (
    UPDATE schedule_runs r SET state = 'stopped', paused_at = NULL, ended_at = $2 FROM hit WHERE r.id = hit.id
), still AS (
    UPDATE run_pauses p SET to_at = greatest($2, p.from_at) FROM hit WHERE p.run_id = hit.id AND p.to_at IS NULL
), written AS (
    INSERT INTO journal (at, user_id, nobody, happened, campaign_id, subject_id, was, became, why)
    SELECT $2, $3, CASE WHEN $3 IS NULL THEN 'shell' END, 'run.stopped', campaign_id, id, state, 'stopped', 'STOP of everything' FROM hit
)
SELECT count(*) AS n FROM hit
