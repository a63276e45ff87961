-- How many messages each of the contacts $1 got since $2, those on the wire
-- included: one that a provider took, or may have taken. Tests count for nothing.
--
-- Contacts that are written to for years have a long past, of which only the runs count that were still open
-- since then; or shortly before, since receipts come up to three days late.
WITH d AS MATERIALIZED (
    SELECT contact_id, run_id, seq, settled_at FROM deliveries
    WHERE contact_id = ANY ($1) AND run_id >= (
        SELECT least((SELECT min(id) FROM schedule_runs WHERE state IN ('running', 'paused')),
                     (SELECT min(id) FROM schedule_runs WHERE ended_at > $2 - interval '3 days')))
      AND (settled_at IS NULL OR (settled_at > $2 AND (progress IS NOT NULL OR outcome IN (0, 14))))
)
SELECT d.contact_id, count(*) AS n
FROM d
JOIN real_runs r ON r.id = d.run_id
WHERE d.settled_at IS NOT NULL
   OR (d.seq < r.next_seq AND NOT EXISTS (SELECT FROM retries t WHERE t.run_id = d.run_id AND t.seq = d.seq))
GROUP BY d.contact_id
