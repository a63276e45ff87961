-- Take the contacts $2 of run $1 for try number $3, wherever they stand: write one
-- lease for all of them, and read them with whatever bars them from being sent to.
-- Consent may have changed since an earlier try.
--
-- The caller holds the lock on the run's row and has taken them off the list of
-- those that wait, or moves the cursor past them.
WITH moved AS (
    UPDATE schedule_runs SET released = released + cardinality($2), clock_base = $4, clock_since = $5 WHERE id = $1
), lease AS (
    INSERT INTO leases (run_id, lo, hi, seqs, attempt, open, released_before, channel_id, channel_before, process, taken_at, expires_at)
    SELECT $1, min(u.seq), max(u.seq), $2, $3, cardinality($2), $6, $7, $8, $9, $10, $11 FROM unnest($2) AS u (seq)
    RETURNING id
)
SELECT lease.id AS lease, d.seq, d.address, d."values",
       CASE WHEN b.address IS NOT NULL   THEN 10::smallint
            WHEN c.opted_out_at IS NOT NULL THEN 23::smallint
            WHEN c.doubted_at IS NOT NULL THEN 28::smallint
            WHEN x.seq IS NOT NULL       THEN 25::smallint END AS barred,
       x.why
FROM lease CROSS JOIN unnest($2) AS u (seq)
JOIN deliveries d ON d.run_id = $1 AND d.seq = u.seq
LEFT JOIN contacts  c ON c.id = d.contact_id
LEFT JOIN blocklist b ON b.kind = c.kind AND b.address = c.address AND (b.until IS NULL OR b.until > $10)
LEFT JOIN replacements x ON x.run_id = d.run_id AND x.seq = d.seq
ORDER BY d.seq
