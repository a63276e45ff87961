-- The same as deliveries/lately.sql for channel $1: everything that was claimed while it had a
-- limit or a pace, replies included.
SELECT
    (SELECT min(f.before)
     FROM (SELECT before FROM channel_takes WHERE channel_id = $1 AND taken_at > $2 ORDER BY taken_at, id LIMIT 16) f) AS claimed,
    (SELECT min(f.before)
     FROM (SELECT before FROM channel_takes WHERE channel_id = $1 AND taken_at > $3 ORDER BY taken_at, id LIMIT 16) f) AS begun,
    (SELECT max(CASE WHEN l.open = 0 THEN l.begun_at ELSE t.taken_at + $4 END)
     FROM channel_takes t
     LEFT JOIN leases l ON l.id = t.lease_id
     WHERE t.channel_id = $1 AND t.taken_at > $3 AND t.taken_at <= $2) AS last_begun
