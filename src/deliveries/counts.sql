-- Where each of the runs $1 stands: its cursor, and its tallies added up.
SELECT r.id, r.next_seq, r.last_seq,
       coalesce(sum(t.accepted), 0)::bigint AS accepted, coalesce(sum(t.delivered), 0)::bigint AS delivered,
       coalesce(sum(t.failed), 0)::bigint AS failed, coalesce(sum(t.skipped), 0)::bigint AS skipped,
       coalesce(sum(t.unconfirmed), 0)::bigint AS unconfirmed, coalesce(sum(t.retrying), 0)::bigint AS retrying
FROM schedule_runs r
LEFT JOIN tallies t ON t.run_id = r.id
WHERE r.id = ANY ($1)
GROUP BY r.id
