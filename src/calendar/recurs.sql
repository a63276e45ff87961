-- Schedules whose next run is due before $1, through channel $2 (NULL: any), of
-- campaigns whose name holds $3. Their rule comes as text: equal rules are worked out once.
SELECT s.campaign_id, c.name AS campaign, s.id AS schedule_id, s.name AS schedule, ch.name AS channel, c.time_zone,
       s.state = 'paused' OR c.state = 'paused' AS paused, it.waits_for_file, it.rule, it.last_date, it.next_run_at,
       s.end_time, s.rate
FROM schedules s
JOIN campaigns c ON c.id = s.campaign_id
JOIN channels ch ON ch.id = s.channel_id
CROSS JOIN LATERAL (
    SELECT false AS waits_for_file, (s.recurrence -> 'rule')::text AS rule,
           (s.recurrence ->> 'last_date')::date AS last_date, s.next_run_at
    WHERE s.next_run_at IS NOT NULL
    UNION ALL
    -- A daily one runs on each day on which a file is expected, from the next such day
    -- on whose file has not come.
    SELECT true, jsonb_build_object('weekly', jsonb_build_object('days', p.days, 'at', to_char(s.start_time, 'HH24:MI:SS')))::text,
           NULL::date, (next.day + next.has_come::integer)::timestamp AT TIME ZONE c.time_zone
    FROM daily_plans p
    CROSS JOIN LATERAL (
        SELECT day, EXISTS (
            SELECT FROM real_runs r WHERE r.schedule_id = s.id AND r.run_date = day
        ) AS has_come
        FROM (SELECT (p.closes_at AT TIME ZONE c.time_zone)::date AS day) closes
    ) next
    WHERE p.campaign_id = c.id AND p.closes_at IS NOT NULL AND s.run_date IS NULL AND s.recurrence IS NULL
) it
WHERE it.next_run_at < $1
  AND s.state IN ('active', 'paused') AND c.state IN ('active', 'paused')
  AND ($2 IS NULL OR s.channel_id = $2)
  AND strpos(lower(c.name), lower($3)) > 0
ORDER BY s.id
