-- Contacts under open leases about which nothing is known, of schedule $1, or of
-- campaign $2, or of everything; and replies that are on the wire, of those that a pause
-- or a stop waits for. They are a handful: what is on the wire.
--
-- What is known of one at a later try may have come from an earlier one. OFFSET 0 keeps
-- the planner at looking them up one by one, whatever it thinks of how many they are.
(SELECT d.address, d.customer_id, r.name AS run, l.expires_at AS deadline
 FROM leases l
 JOIN schedule_runs r ON r.id = l.run_id
 CROSS JOIN LATERAL unnest(coalesce(l.seqs, ARRAY(SELECT generate_series(l.lo, l.hi)))) AS u (seq)
 CROSS JOIN LATERAL (SELECT * FROM deliveries d
                     WHERE d.run_id = l.run_id AND d.seq = u.seq AND (d.settled_at IS NULL OR l.attempt > 1) OFFSET 0) d
 WHERE l.open > 0
   AND ($1 IS NULL OR r.schedule_id = $1)
   AND ($2 IS NULL OR r.campaign_id = $2)
   AND NOT EXISTS (SELECT FROM retries t WHERE t.run_id = d.run_id AND t.seq = d.seq)
 ORDER BY l.taken_at, d.seq
 LIMIT $3)
UNION ALL
(SELECT k.address, k.customer_id, c.name AS run, m.lease_ends_at AS deadline
 FROM messages m
 JOIN schedules s ON s.id = m.schedule_id
 JOIN campaigns c ON c.id = s.campaign_id
 JOIN conversations v ON v.id = m.conversation_id
 JOIN contacts k ON k.id = v.contact_id
 WHERE m.state = 'claimed' AND (m.purpose = 'reengager' OR s.state = 'stopped' OR c.state = 'stopped')
   AND ($1 IS NULL OR s.id = $1)
   AND ($2 IS NULL OR c.id = $2)
 ORDER BY m.id
 LIMIT $3)
LIMIT $3
