-- Take contacts $2 to $3 of run $1: move the cursor and the clock, write the
-- lease, and read the contacts. What bars them is asked when this has committed: see
-- last_look.sql.
--
-- The caller holds the lock on the run's row and has seen it running. No row of
-- deliveries is written.
WITH moved AS (
    UPDATE schedule_runs
    SET next_seq = $3 + 1, released = released + ($3 - $2 + 1), clock_base = $4, clock_since = $5
    WHERE id = $1
), lease AS (
    INSERT INTO leases (run_id, lo, hi, attempt, open, released_before, process, taken_at, expires_at)
    VALUES ($1, $2, $3, 1, $3 - $2 + 1, $6, $7, $8, $9)
    RETURNING id
)
SELECT lease.id AS lease, d.seq, d.contact_id, d.address, d."values", x.why AS replaced
FROM lease, deliveries d
LEFT JOIN replacements x ON x.run_id = d.run_id AND x.seq = d.seq
WHERE d.run_id = $1 AND d.seq BETWEEN $2 AND $3
ORDER BY d.seq
