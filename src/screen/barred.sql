-- Contacts that runs $1 have not reached and may not be sent to at $2.
SELECT count(*) AS n
FROM schedule_runs r
JOIN deliveries d ON d.run_id = r.id AND d.settled_at IS NULL
JOIN reach($2) c ON c.contact_id = d.contact_id
WHERE r.id = ANY ($1)
  AND (d.seq >= r.next_seq OR EXISTS (SELECT FROM retries w WHERE w.run_id = r.id AND w.seq = d.seq))
  AND c.outcome IS NOT NULL
