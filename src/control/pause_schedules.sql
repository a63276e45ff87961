-- Pause, together with them, the schedules in a state of $1 of the campaigns $4.
-- Those that somebody paused by themselves stay as they are.
WITH hit AS (
    SELECT id, campaign_id, state FROM schedules
    WHERE state = ANY ($1) AND campaign_id = ANY ($4) ORDER BY id FOR NO KEY UPDATE
), paused AS (
    UPDATE schedules s SET state = 'paused', paused_at = $2, paused_with = 'campaign' FROM hit WHERE s.id = hit.id
), written AS (
    INSERT INTO journal (at, user_id, nobody, happened, campaign_id, subject_id, was, became, why)
    SELECT $2, $3, CASE WHEN $3 IS NULL THEN 'shell' END, 'schedule.paused', campaign_id, id, state, 'paused', 'PAUSE of everything' FROM hit
)
SELECT id FROM hit
