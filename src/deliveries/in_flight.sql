-- Contacts under open leases about which nothing is known, of schedule $1, or of
-- campaign $2, or of everything. They are a handful: what is on the wire.
SELECT d.address, d.customer_id, r.name AS run, l.expires_at AS deadline
FROM leases l
JOIN schedule_runs r ON r.id = l.run_id
CROSS JOIN LATERAL unnest(coalesce(l.seqs, ARRAY(SELECT generate_series(l.lo, l.hi)))) AS u (seq)
JOIN deliveries d ON d.run_id = l.run_id AND d.seq = u.seq AND d.settled_at IS NULL
WHERE l.open > 0
  AND ($1 IS NULL OR r.schedule_id = $1)
  AND ($2 IS NULL OR r.campaign_id = $2)
  AND NOT EXISTS (SELECT FROM retries t WHERE t.run_id = d.run_id AND t.seq = d.seq)
ORDER BY l.taken_at, d.seq
LIMIT $3
