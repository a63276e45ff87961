-- Schedules whose next run is due before $1, through channel $2 (NULL: any), of
-- campaigns whose name holds $3. Their rule comes as text: equal rules are worked out once.
SELECT s.campaign_id, c.name AS campaign, s.id AS schedule_id, s.name AS schedule, ch.name AS channel, c.time_zone,
       s.state = 'paused' OR c.state = 'paused' AS paused, (s.recurrence -> 'rule')::text AS rule,
       (s.recurrence ->> 'last_date')::date AS last_date, s.next_run_at, s.end_time, s.rate
FROM schedules s
JOIN campaigns c ON c.id = s.campaign_id
JOIN channels ch ON ch.id = s.channel_id
WHERE s.next_run_at < $1
  AND s.state IN ('active', 'paused') AND c.state IN ('active', 'paused')
  AND ($2 IS NULL OR s.channel_id = $2)
  AND strpos(lower(c.name), lower($3)) > 0
ORDER BY s.id
