-- The same as lately.sql for channel $1: everything that was claimed while it had a
-- limit or a pace, replies included.
SELECT
    (SELECT min(f.channel_before)
     FROM (SELECT channel_before FROM leases
           WHERE channel_id = $1 AND taken_at > $2 AND channel_before IS NOT NULL ORDER BY taken_at, id LIMIT 16) f) AS claimed,
    (SELECT min(f.channel_before)
     FROM (SELECT channel_before FROM leases
           WHERE channel_id = $1 AND taken_at > $3 AND channel_before IS NOT NULL ORDER BY taken_at, id LIMIT 16) f) AS begun,
    (SELECT max(CASE WHEN open > 0 THEN taken_at + $4 ELSE begun_at END)
     FROM leases
     WHERE channel_id = $1 AND taken_at > $3 AND taken_at <= $2 AND channel_before IS NOT NULL) AS last_begun
