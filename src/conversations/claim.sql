-- Pick up to $2 messages of channel $1 that are due at $3, the oldest first, at most one
-- of each conversation, and lock them: what stands before in a conversation leaves before.
--
-- SKIP LOCKED lets several processes work side by side. Messages that are held or stopped
-- are passed over here, so that they do not stand in the way of others; that this still
-- holds is asked again once what governs them is locked. Nothing is picked while lost
-- history holds everything.
SELECT m.id, m.schedule_id, m.purpose
FROM messages m
LEFT JOIN schedules s ON s.id = m.schedule_id
LEFT JOIN campaigns c ON c.id = s.campaign_id
WHERE m.state = 'queued' AND m.channel_id = $1 AND m.due_at <= $3
  AND NOT EXISTS (SELECT FROM losses WHERE released_at IS NULL)
  AND NOT EXISTS (SELECT FROM messages e
                  WHERE e.conversation_id = m.conversation_id AND e.id < m.id AND e.state IN ('queued', 'claimed'))
  AND (s.id IS NULL OR (s.state <> 'stopped' AND c.state <> 'stopped'
                        AND (m.purpose <> 'reengager' OR (s.state <> 'paused' AND c.state <> 'paused'))))
ORDER BY m.id
LIMIT $2
FOR UPDATE OF m SKIP LOCKED
