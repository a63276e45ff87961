-- Pause the runs in a state of $1 of the campaigns $4. This is the fence, as for a
-- stop: a claim under way finishes first, and none can follow.
WITH hit AS (
    SELECT id, campaign_id, state FROM schedule_runs
    WHERE state = ANY ($1) AND campaign_id = ANY ($4) ORDER BY id FOR NO KEY UPDATE
), paused AS (
    UPDATE schedule_runs r SET state = 'paused', paused_at = $2 FROM hit WHERE r.id = hit.id
), still AS (
    INSERT INTO run_pauses (run_id, from_at) SELECT id, $2 FROM hit
    ON CONFLICT (run_id, from_at) DO UPDATE SET to_at = NULL
), written AS (
    INSERT INTO journal (at, user_id, nobody, happened, campaign_id, subject_id, was, became, why)
    SELECT $2, $3, CASE WHEN $3 IS NULL THEN 'shell' END, 'run.paused', campaign_id, id, state, 'paused', 'PAUSE of everything' FROM hit
)
SELECT id FROM hit
