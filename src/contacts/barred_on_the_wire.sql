-- Everybody to whom something may still begin to leave, and who by now has opted out, is in
-- doubt, or is blocked at $1.
--
-- From the wire, which is short, whatever the number of those who are barred: an import may
-- have blocked a million.
SELECT w.contact_id AS id
FROM (
    SELECT d.contact_id
    FROM leases l
    CROSS JOIN LATERAL unnest(coalesce(l.seqs, ARRAY(SELECT generate_series(l.lo, l.hi)))) AS u (seq)
    JOIN deliveries d ON d.run_id = l.run_id AND d.seq = u.seq AND d.settled_at IS NULL
    WHERE l.open > 0
      AND NOT EXISTS (SELECT FROM retries t WHERE t.run_id = d.run_id AND t.seq = d.seq)
    UNION
    SELECT v.contact_id
    FROM messages m JOIN conversations v ON v.id = m.conversation_id
    WHERE m.state = 'claimed'
) w
JOIN reach($1) r ON r.contact_id = w.contact_id
WHERE r.outcome IS NOT NULL
