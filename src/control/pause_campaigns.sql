-- Pause every campaign in a state of $1, at $2 by $3, and write each down. They
-- are locked in one order, as everyone does who changes several. Returns them.
WITH hit AS (
    SELECT id, state FROM campaigns WHERE state = ANY ($1) ORDER BY id FOR NO KEY UPDATE
), paused AS (
    UPDATE campaigns c SET state = 'paused' FROM hit WHERE c.id = hit.id
), written AS (
    INSERT INTO journal (at, user_id, nobody, happened, campaign_id, subject_id, was, became, why)
    SELECT $2, $3, CASE WHEN $3 IS NULL THEN 'shell' END, 'campaign.paused', id, id, state, 'paused', 'PAUSE of everything' FROM hit
)
SELECT id FROM hit
