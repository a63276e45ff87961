-- Take the contacts $2 of run $1 for try number $3, wherever they stand: write one
-- lease for all of them, and read them. What bars them is asked when this has committed:
-- see last_look.sql.
--
-- The caller holds the lock on the run's row and has taken them off the list of
-- those that wait, or moves the cursor past them.
WITH moved AS (
    UPDATE schedule_runs SET released = released + cardinality($2), clock_base = $4, clock_since = $5 WHERE id = $1
), lease AS (
    INSERT INTO leases (run_id, lo, hi, seqs, attempt, open, released_before, process, taken_at, expires_at)
    SELECT $1, min(u.seq), max(u.seq), $2, $3, cardinality($2), $6, $7, $8, $9 FROM unnest($2) AS u (seq)
    RETURNING id
), d AS MATERIALIZED (
    SELECT seq, contact_id, address, "values" FROM deliveries WHERE run_id = $1 AND seq = ANY ($2)
)
SELECT lease.id AS lease, d.seq, d.contact_id, d.address, d."values", x.why AS replaced
FROM lease, d
LEFT JOIN replacements x ON x.run_id = $1 AND x.seq = d.seq
ORDER BY d.seq
