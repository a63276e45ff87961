-- How many sends of channel $1 were taken after $2, were claimed by $3 and have no further word, counted no further than
-- $4; and when the first of them was claimed.
--
-- By way of what was claimed lately: there is no index over the ledgers' states, and need be none.
SELECT count(*) AS n, min(w.taken_at) AS since
FROM (SELECT l.taken_at
      FROM real_runs r
      JOIN leases l ON l.run_id = r.id AND l.taken_at > $2 AND l.taken_at <= $3
      JOIN deliveries d ON d.run_id = l.run_id AND d.seq BETWEEN l.lo AND l.hi AND d.attempt = l.attempt
                       AND (l.seqs IS NULL OR d.seq = ANY (l.seqs))
      WHERE r.channel_id = $1 AND (r.state IN ('running', 'paused') OR r.ended_at > $2)
        AND d.progress = 1 AND d.outcome IS NULL
      LIMIT $4) w
