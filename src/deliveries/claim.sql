-- Take contacts $2 to $3 of run $1: move the cursor and the clock, write the
-- lease, and read the contacts. What bars them is asked when this has committed: see
-- last_look.sql.
--
-- The caller holds the lock on the run's row and has seen it running. No row of
-- deliveries is written. They are read by the run's number alone and joined afterwards, here and in
-- claim_set.sql: so it is the same where deliveries are distributed by run.
WITH moved AS (
    UPDATE schedule_runs
    SET next_seq = $3 + 1, released = released + ($3 - $2 + 1), clock_base = $4, clock_since = $5
    WHERE id = $1
), lease AS (
    INSERT INTO leases (run_id, lo, hi, attempt, open, released_before, process, taken_at, expires_at)
    VALUES ($1, $2, $3, 1, $3 - $2 + 1, $6, $7, $8, $9)
    RETURNING id
), d AS MATERIALIZED (
    SELECT seq, contact_id, address, "values" FROM deliveries WHERE run_id = $1 AND seq BETWEEN $2 AND $3
)
SELECT lease.id AS lease, d.seq, d.contact_id, d.address, d."values", x.why AS replaced
FROM lease, d
LEFT JOIN replacements x ON x.run_id = $1 AND x.seq = d.seq
ORDER BY d.seq
