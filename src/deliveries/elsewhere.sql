-- Which of the contacts $1 other campaigns than $2 still have to send to, or are
-- sending to, at $3.
--
-- Contacts that are written to for years have a long past, of which only the runs count that are still open.
WITH d AS MATERIALIZED (
    SELECT contact_id, run_id, seq FROM deliveries
    WHERE contact_id = ANY ($1) AND settled_at IS NULL AND run_id >= (
        SELECT least((SELECT min(id) FROM real_runs WHERE state IN ('running', 'paused')),
                     (SELECT min(id) FROM real_runs WHERE state = 'waiting' AND starts_at <= $3)))
)
SELECT d.contact_id, d.run_id, d.seq, c.name AS campaign, r.rules ->> 'busy' AS busy, r.starts_at,
       d.seq < r.next_seq AND t.seq IS NULL AS in_flight
FROM d
JOIN real_runs r ON r.id = d.run_id
JOIN campaigns c ON c.id = r.campaign_id
LEFT JOIN retries t ON t.run_id = d.run_id AND t.seq = d.seq
WHERE r.campaign_id <> $2 AND r.state IN ('waiting', 'running', 'paused')
  AND r.prepared_at IS NOT NULL AND r.starts_at <= $3 AND r.ends_at > $3
  AND NOT EXISTS (SELECT FROM replacements x WHERE x.run_id = d.run_id AND x.seq = d.seq)
