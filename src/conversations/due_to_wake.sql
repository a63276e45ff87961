-- Schedules with a bot that is due to speak up at $1 and may: neither it nor its
-- campaign is paused or stopped. From one schedule to the next through the index on
-- waiting conversations, so that it costs as much as there are schedules with some.
WITH RECURSIVE waiting (schedule_id) AS (
    (SELECT schedule_id FROM conversations WHERE wake_at IS NOT NULL ORDER BY schedule_id LIMIT 1)
    UNION ALL
    SELECT (SELECT v.schedule_id FROM conversations v
            WHERE v.wake_at IS NOT NULL AND v.schedule_id > w.schedule_id ORDER BY v.schedule_id LIMIT 1)
    FROM waiting w WHERE w.schedule_id IS NOT NULL
)
SELECT s.id AS schedule_id, s.campaign_id, c.time_zone AS zone,
       coalesce(s.rate, (SELECT r.rate FROM real_runs r WHERE r.schedule_id = s.id
                         ORDER BY r.starts_at DESC LIMIT 1)) AS rate
FROM waiting w
JOIN schedules s ON s.id = w.schedule_id AND s.state IN ('active', 'finished')
JOIN campaigns c ON c.id = s.campaign_id AND c.state IN ('active', 'finished', 'archived')
WHERE (SELECT min(v.wake_at) FROM conversations v WHERE v.schedule_id = s.id AND v.wake_at IS NOT NULL) <= $1
