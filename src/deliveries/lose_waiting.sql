-- Give up at $2 the contacts that waited for another try which was due by $1: they may
-- have had it. Returns how many, run by run.
WITH gone AS (
    DELETE FROM retries t USING schedule_runs r
    WHERE r.id = t.run_id AND r.state IN ('waiting', 'running', 'paused') AND t.due_at <= $1
    RETURNING t.run_id, t.seq, t.attempt
), lost AS (
    UPDATE deliveries d SET outcome = 14, attempt = g.attempt, detail = $3, settled_at = $2
    FROM gone g
    WHERE d.run_id = g.run_id AND d.seq = g.seq AND d.settled_at IS NULL
    RETURNING d.run_id
)
SELECT l.run_id, r.name, count(*) AS n FROM lost l JOIN schedule_runs r ON r.id = l.run_id
GROUP BY l.run_id, r.name ORDER BY l.run_id
