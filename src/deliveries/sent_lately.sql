-- How many messages each of the contacts $1 got since $2, those on the wire
-- included: one that a provider took, or may have taken. Tests count for nothing.
--
-- Contacts that are written to for years have a long past, of which only the runs count that were still open
-- since then; or shortly before, since receipts come up to three days late.
SELECT d.contact_id, count(*) AS n
FROM unnest($1) AS u (contact_id)
JOIN deliveries d ON d.contact_id = u.contact_id AND d.run_id >= (
    SELECT least((SELECT min(id) FROM schedule_runs WHERE state IN ('running', 'paused')),
                 (SELECT min(id) FROM schedule_runs WHERE ended_at > $2 - interval '3 days')))
JOIN real_runs r ON r.id = d.run_id
WHERE (d.settled_at > $2 AND (d.progress IS NOT NULL OR d.outcome IN (0, 14)))
   OR (d.settled_at IS NULL AND d.seq < r.next_seq
       AND NOT EXISTS (SELECT FROM retries t WHERE t.run_id = d.run_id AND t.seq = d.seq))
GROUP BY d.contact_id
