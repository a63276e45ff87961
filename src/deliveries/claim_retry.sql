-- Take the one contact $2 of run $1 again, for try number $3: write a lease of
-- its own and read it anew, since consent may have changed meanwhile.
WITH moved AS (
    UPDATE schedule_runs SET released = released + 1, clock_base = $4, clock_since = $5 WHERE id = $1
), gone AS (
    DELETE FROM retries WHERE run_id = $1 AND seq = $2
), counted AS (
    INSERT INTO tallies (run_id, shard, retrying) VALUES ($1, 0, -1)
    ON CONFLICT (run_id, shard) DO UPDATE SET retrying = tallies.retrying - 1
), lease AS (
    INSERT INTO leases (run_id, lo, hi, attempt, open, released_before, channel_id, channel_before, process, taken_at, expires_at)
    VALUES ($1, $2, $2, $3, 1, $6, $7, $8, $9, $10, $11)
    RETURNING id
)
SELECT lease.id AS lease, d.seq, d.address, d."values",
       CASE WHEN b.address IS NOT NULL   THEN 10::smallint
            WHEN c.opted_out_at IS NOT NULL THEN 23::smallint END AS barred
FROM lease, deliveries d
LEFT JOIN contacts  c ON c.id = d.contact_id
LEFT JOIN blocklist b ON b.kind = c.kind AND b.address = c.address AND (b.until IS NULL OR b.until > $10)
WHERE d.run_id = $1 AND d.seq = $2
