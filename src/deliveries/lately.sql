-- What run $1 has sent lately, its first $4 sends not counted: how many it had claimed
-- before the first within a minute (after $2), and within a minute and what a send may
-- begin late ($3); and when the last began of those that only the longer stretch has.
--
-- The least of the oldest few, not the oldest: processes take the time before they take
-- the lock, so two leases may stand in the other order. Of what is still open nobody
-- knows when it begins, so the latest counts ($5 after its claim).
SELECT
    (SELECT min(f.released_before)
     FROM (SELECT released_before FROM leases WHERE run_id = $1 AND taken_at > $2 ORDER BY taken_at, id LIMIT 16) f) AS claimed,
    (SELECT min(f.released_before)
     FROM (SELECT released_before FROM leases WHERE run_id = $1 AND taken_at > $3 ORDER BY taken_at, id LIMIT 16) f) AS begun,
    (SELECT max(CASE WHEN open > 0 THEN taken_at + $5 ELSE begun_at END)
     FROM leases
     WHERE run_id = $1 AND taken_at > $3 AND taken_at <= $2
       AND released_before + coalesce(cardinality(seqs), hi - lo + 1) > $4) AS last_begun
