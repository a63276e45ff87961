-- Runs that start in [$1, $2) and end after $3, through channel $4 (NULL: any), of
-- campaigns whose name holds $5. The start finds them; the tallies of each are few.
SELECT r.id, r.campaign_id, c.name AS campaign, r.schedule_id, s.name AS schedule, ch.name AS channel, c.time_zone,
       r.state, r.starts_at, r.ends_at, r.last_seq::bigint AS total, t.sent, r.rate,
       r.auto_rate AND r.clock_since IS NULL AS finds_its_rate
FROM real_runs r
JOIN campaigns c ON c.id = r.campaign_id
JOIN schedules s ON s.id = r.schedule_id
JOIN channels ch ON ch.id = r.channel_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(t.accepted + t.delivered), 0)::bigint AS sent FROM tallies t WHERE t.run_id = r.id
) t
WHERE r.starts_at >= $1 AND r.starts_at < $2 AND r.ends_at > $3
  AND ($4 IS NULL OR r.channel_id = $4)
  AND strpos(lower(c.name), lower($5)) > 0
ORDER BY r.starts_at, r.id
