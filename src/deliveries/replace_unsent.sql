-- Settle what run $1 has not sent as replaced, at $3: contacts from the cursor $2 on,
-- and those before it that were held before they were ever tried. The cursor moves
-- behind them all, so that no claim reaches them.
--
-- The caller holds the lock on the run's row.
WITH held AS (
    DELETE FROM retries WHERE run_id = $1 AND attempt = 1 RETURNING seq
), replaced AS (
    UPDATE deliveries d
    SET outcome = 25, attempt = 0, detail = 'another file took its place', settled_at = $3
    WHERE d.run_id = $1 AND d.settled_at IS NULL AND (d.seq >= $2 OR d.seq IN (SELECT seq FROM held))
    RETURNING seq
), moved AS (
    UPDATE schedule_runs SET next_seq = last_seq + 1, passed_over = passed_over + last_seq - next_seq + 1
    WHERE id = $1
)
SELECT count(*) AS n, count(*) FILTER (WHERE seq < $2) AS held FROM replaced
