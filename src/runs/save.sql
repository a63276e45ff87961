-- Write what verbs and the clock change of run $1 at $2: its state $3, how many contacts there
-- are $4, its end $5, its rate $6 and whether that is found $7, its rules $8, its clock $9 $10
-- $11, since when it is paused $12 or has ended $13, and whether its first contacts have
-- passed $14. With it the pause begins, or ends that went on until now.
WITH saved AS (
    UPDATE schedule_runs SET state = $3, last_seq = $4, ends_at = $5, rate = $6, auto_rate = $7, rules = $8,
        clock_base = $9, clock_since = $10, burst = $11, paused_at = $12, ended_at = $13,
        canary_passed_at = CASE WHEN $14 THEN coalesce(canary_passed_at, $2) ELSE canary_passed_at END
    WHERE id = $1
), begun AS (
    -- Paused anew at the instant at which it was resumed, it has not stood up in between.
    INSERT INTO run_pauses (run_id, from_at) SELECT $1, $12 WHERE $12 IS NOT NULL
    ON CONFLICT (run_id, from_at) DO UPDATE SET to_at = NULL
)
UPDATE run_pauses SET to_at = greatest($2, from_at) WHERE run_id = $1 AND to_at IS NULL AND $12 IS NULL
