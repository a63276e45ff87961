-- Stop every campaign in a state of $1, at $2 by $3, and write each down; also those in a
-- state of $4, of which only bots are left that talk with somebody. They are locked in one order, as everyone does who changes several.
WITH hit AS (
    SELECT id, state FROM campaigns c
    WHERE state = ANY ($1)
       OR (state = ANY ($4) AND EXISTS (SELECT FROM conversations v
           WHERE v.campaign_id = c.id AND v.handler = 'bot' AND v.closed_at IS NULL))
    ORDER BY id FOR NO KEY UPDATE
), stopped AS (
    UPDATE campaigns c SET state = 'stopped', paused_with_all = NULL, ended_at = $2 FROM hit WHERE c.id = hit.id
), written AS (
    INSERT INTO journal (at, user_id, nobody, happened, campaign_id, subject_id, was, became, why)
    SELECT $2, $3, CASE WHEN $3 IS NULL THEN 'shell' END, 'campaign.stopped', id, id, state, 'stopped', 'STOP of everything' FROM hit
)
SELECT count(*) AS n FROM hit
