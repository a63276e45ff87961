-- Write what has become known about deliveries $2 of run $1, whatever was known before: their rows are
-- locked, and merged by whoever calls.
UPDATE deliveries d
SET progress = u.progress, outcome = u.outcome, attempt = u.attempt, detail = u.detail,
    -- That it was read moves no delivery.
    settled_at = CASE WHEN d.outcome = 0 AND u.progress = 3 THEN d.settled_at ELSE $7 END
FROM unnest($2::integer[], $3::smallint[], $4::smallint[], $5::smallint[], $6::text[])
     AS u (seq, progress, outcome, attempt, detail)
WHERE d.run_id = $1 AND d.seq = ANY ($2) AND d.seq = u.seq
