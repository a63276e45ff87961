-- What left of run $1 minute by minute, and from when to when it stood still, each in its order.
SELECT at, sent, until FROM (
    SELECT date_trunc('minute', taken_at) AS at, sum(coalesce(cardinality(seqs), hi - lo + 1))::bigint AS sent,
           NULL::timestamptz AS until
    FROM leases WHERE run_id = $1 GROUP BY 1
    UNION ALL
    SELECT from_at, NULL, to_at FROM run_pauses WHERE run_id = $1
) past ORDER BY at
