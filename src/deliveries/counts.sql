-- Where each of the runs $1 stands: its cursor, and its tallies added up.
SELECT r.id, r.next_seq, r.last_seq,
       coalesce(sum(t.accepted), 0)::bigint AS accepted, coalesce(sum(t.delivered), 0)::bigint AS delivered,
       coalesce(sum(t.failed), 0)::bigint AS failed, coalesce(sum(t.skipped), 0)::bigint AS skipped,
       coalesce(sum(t.unconfirmed), 0)::bigint AS unconfirmed, coalesce(sum(t.retrying), 0)::bigint AS retrying,
       -- Their tally is that of the skipped; only a run with a group has any.
       CASE WHEN r."group" IS NULL THEN 0 ELSE coalesce((SELECT sum(o.n) FROM outcome_tallies o
            WHERE o.run_id = r.id AND o.outcome = 21), 0) END::bigint AS no_group
FROM schedule_runs r
LEFT JOIN tallies t ON t.run_id = r.id
WHERE r.id = ANY ($1)
GROUP BY r.id
