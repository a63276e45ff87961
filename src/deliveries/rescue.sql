-- Give up the contacts of lease $1 about which nothing is known, at $2. Nobody
-- is left to settle them, and nobody can say whether the provider got them.
-- Contacts that went back for another try are not among them, wherever that stands.
UPDATE deliveries d
SET outcome = 14, attempt = l.attempt, detail = 'the sending process died', settled_at = $2
FROM leases l
CROSS JOIN LATERAL unnest(coalesce(l.seqs, ARRAY(SELECT generate_series(l.lo, l.hi)))) AS u (seq)
WHERE l.id = $1 AND d.run_id = l.run_id AND d.seq = u.seq AND d.settled_at IS NULL
  AND NOT EXISTS (SELECT FROM retries r WHERE r.run_id = d.run_id AND r.seq = d.seq)
  AND NOT EXISTS (SELECT FROM leases n
                  WHERE n.run_id = d.run_id AND n.open > 0 AND n.attempt > l.attempt AND coalesce(n.seqs, ARRAY[n.lo]) @> ARRAY[d.seq])
