-- Put those of run $1 who were given up since $2 for the reason $3, and of whom nothing
-- has been heard, on the list of those that wait for another try, due at $4. Returns how many.
--
-- The caller holds the lock on the run's row.
WITH lost AS (
    SELECT seq, attempt FROM deliveries
    WHERE run_id = $1 AND outcome = 14 AND progress IS NULL AND detail = $3 AND settled_at >= $2
    FOR NO KEY UPDATE
), open AS (
    UPDATE deliveries d SET outcome = NULL, attempt = NULL, detail = NULL, settled_at = NULL
    FROM lost l WHERE d.run_id = $1 AND d.seq = l.seq
), waits AS (
    INSERT INTO retries (run_id, seq, attempt, due_at, detail)
    SELECT $1, seq, attempt + 1, $4, 'somebody ordered it again' FROM lost
)
SELECT count(*) AS n FROM lost
