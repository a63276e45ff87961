-- How run $1 has gone, each in its order: what became of those who had their turn, by the minute
-- in which they last had it, and from when to when it stood still.
--
-- Rows say what became of them, and there may be millions: unless $2, turns are only counted.
WITH turns AS MATERIALIZED (
    SELECT u.seq, max(l.taken_at) AS at
    FROM leases l CROSS JOIN LATERAL unnest(coalesce(l.seqs, ARRAY(SELECT generate_series(l.lo, l.hi)))) AS u (seq)
    WHERE l.run_id = $1 AND $2 GROUP BY u.seq
)
SELECT at, n, progress, outcome, until FROM (
    SELECT date_trunc('minute', t.at) AS at, count(*) AS n, d.progress, d.outcome, NULL::timestamptz AS until
    FROM turns t JOIN deliveries d ON d.run_id = $1 AND d.seq = t.seq GROUP BY 1, 3, 4
    UNION ALL
    SELECT date_trunc('minute', taken_at), sum(hi - lo + 1)::bigint, 1::smallint, NULL, NULL
    FROM leases WHERE run_id = $1 AND NOT $2 AND seqs IS NULL GROUP BY 1
    UNION ALL
    SELECT from_at, NULL, NULL, NULL, to_at FROM run_pauses WHERE run_id = $1
) past ORDER BY at
