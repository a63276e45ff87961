-- Sends of channel $1 to the addresses $2 on its kind that have no final word, are unconfirmed (outcome $3), or were
-- delivered and not read, and when they were claimed. In flight is what is claimed and not settled; who waits for a turn or another try is not here.
--
-- Of each person no more than the newest are looked at: it is asked for every piece of news that names only the person.
WITH whom AS (
    SELECT c.id, c.address FROM channels h JOIN contacts c ON c.kind = h.kind AND c.address = ANY ($2) WHERE h.id = $1
), of_runs AS (
    SELECT w.address, d.run_id, d.seq, d.attempt, d.outcome, d.settled_at
    FROM whom w
    CROSS JOIN LATERAL (SELECT * FROM deliveries WHERE contact_id = w.id ORDER BY run_id DESC LIMIT 100) d
    JOIN schedule_runs r ON r.id = d.run_id
    WHERE r.channel_id = $1 AND d.address = w.address AND d.seq < r.next_seq
      AND (d.outcome IS NULL OR d.outcome = $3 OR (d.outcome = 0 AND d.progress IS DISTINCT FROM 3))
), of_conversations AS (
    SELECT w.address, m.id, m.attempt, m.state, m.outcome, m.claimed_at, m.settled_at
    FROM whom w
    CROSS JOIN LATERAL (SELECT id FROM conversations WHERE contact_id = w.id AND channel_id = $1 ORDER BY id DESC LIMIT 10) v
    CROSS JOIN LATERAL (SELECT * FROM messages WHERE conversation_id = v.id ORDER BY id DESC LIMIT 100) m
    WHERE m.purpose IS NOT NULL AND m.attempt > 0 AND m.state <> 'queued'
      AND (m.outcome IS NULL OR m.outcome = $3 OR (m.outcome = 0 AND m.progress IS DISTINCT FROM 3))
)
SELECT o.address, o.run_id, o.seq, NULL::bigint AS message_id, coalesce(o.attempt, l.attempt) AS attempt,
       coalesce(l.taken_at, o.settled_at) AS at, o.settled_at IS NOT NULL AS is_settled, o.outcome
FROM of_runs o
LEFT JOIN LATERAL (
    (SELECT s.attempt, s.taken_at FROM leases s
     WHERE o.settled_at IS NOT NULL AND s.run_id = o.run_id AND s.attempt = o.attempt
       AND s.lo <= o.seq AND o.seq <= s.hi AND (s.seqs IS NULL OR o.seq = ANY (s.seqs))
     ORDER BY s.lo DESC LIMIT 1)
    UNION ALL
    (SELECT s.attempt, s.taken_at FROM leases s
     WHERE o.settled_at IS NULL AND s.run_id = o.run_id AND s.open > 0
       AND s.lo <= o.seq AND o.seq <= s.hi AND (s.seqs IS NULL OR o.seq = ANY (s.seqs))
     ORDER BY s.attempt DESC LIMIT 1)
) l ON true
WHERE o.settled_at IS NOT NULL OR l.taken_at IS NOT NULL
UNION ALL
SELECT o.address, NULL, NULL, o.id, o.attempt, coalesce(o.claimed_at, o.settled_at), o.state = 'settled', o.outcome
FROM of_conversations o
