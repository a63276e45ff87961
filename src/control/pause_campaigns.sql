-- Pause every campaign in a state of $1, at $2 by $3, and write each down. They
-- are locked in one order, as everyone does who changes several. Each remembers
-- this pause, so that it can be taken back. Returns them.
WITH hit AS (
    SELECT id, state FROM campaigns WHERE state = ANY ($1) ORDER BY id FOR NO KEY UPDATE
), this AS (
    INSERT INTO pauses_of_everything (at, user_id) SELECT $2, $3 WHERE EXISTS (SELECT FROM hit) RETURNING id
), paused AS (
    UPDATE campaigns c SET state = 'paused', paused_with_all = this.id FROM hit, this WHERE c.id = hit.id
), written AS (
    INSERT INTO journal (at, user_id, nobody, happened, campaign_id, subject_id, was, became, why)
    SELECT $2, $3, CASE WHEN $3 IS NULL THEN 'shell' END, 'campaign.paused', id, id, state, 'paused', 'PAUSE of everything' FROM hit
)
SELECT id FROM hit
