-- Stop every schedule in a state of $1 whose campaign was stopped before in this
-- transaction; schedules of drafts stay as they are.
WITH hit AS (
    SELECT s.id, s.campaign_id, s.state FROM schedules s JOIN campaigns c ON c.id = s.campaign_id
    WHERE s.state = ANY ($1) AND c.state = 'stopped' ORDER BY s.id FOR NO KEY UPDATE OF s
), stopped AS (
    UPDATE schedules s SET state = 'stopped', paused_at = NULL, paused_with = NULL FROM hit WHERE s.id = hit.id
), written AS (
    INSERT INTO journal (at, user_id, nobody, happened, campaign_id, subject_id, was, became, why)
    SELECT $2, $3, CASE WHEN $3 IS NULL THEN 'shell' END, 'schedule.stopped', campaign_id, id, state, 'stopped', 'STOP of everything' FROM hit
)
SELECT count(*) AS n FROM hit
