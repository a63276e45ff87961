-- Move the cursor of run $1 to $2, because somebody knows that it stood there, and give up
-- at $3 the contacts that it passes: they may have been sent to, and nobody will say so but
-- a receipt. Returns how many.
--
-- The caller holds the lock on the run's row.
WITH lost AS (
    UPDATE deliveries d SET outcome = 14, attempt = 1, detail = $4, settled_at = $3
    FROM schedule_runs r
    WHERE r.id = $1 AND d.run_id = $1 AND d.seq >= r.next_seq AND d.seq < $2 AND d.settled_at IS NULL
    RETURNING d.seq
), moved AS (
    UPDATE schedule_runs SET next_seq = $2, released = released + ($2 - next_seq) WHERE id = $1
)
SELECT count(*) AS n FROM lost
