-- The ledger of run $1: each row with where its contact stands, as a code.
--
-- The codes are those of Standing::code(), and the cases those of Standing::of();
-- a story holds the two against each other. Whoever asks wraps this and adds
-- filters: Postgres moves them inside, so a page reads no more rows than it must.
SELECT d.seq, d.address, d.customer_id, d.attempt, coalesce(d.detail, t.detail) AS detail, d.settled_at,
       t.due_at AS next_try_at, d."values",
       CASE
           WHEN d.outcome = 0 AND d.progress = 3 THEN -7
           WHEN d.outcome IS NOT NULL THEN d.outcome
           WHEN d.progress = 2        THEN -5
           WHEN d.progress = 1        THEN -4
           WHEN d.seq < r.next_seq AND t.seq IS NULL THEN -2
           WHEN r.state = 'overrun'   THEN 9
           WHEN r.state = 'stopped'   THEN 20
           WHEN t.attempt = 1         THEN -6
           WHEN t.seq IS NOT NULL     THEN -3
           ELSE -1
       END::smallint AS standing
FROM schedule_runs r
JOIN deliveries d ON d.run_id = r.id
LEFT JOIN retries t ON t.run_id = d.run_id AND t.seq = d.seq
WHERE r.id = $1
