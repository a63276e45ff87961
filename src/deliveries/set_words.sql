-- Write what has become known about deliveries $2 of run $1, whatever was known before: their rows are
-- locked, and merged by whoever calls.
UPDATE deliveries d
SET progress = u.progress, outcome = u.outcome, attempt = u.attempt, detail = u.detail, settled_at = $7
FROM unnest($2::integer[], $3::smallint[], $4::smallint[], $5::smallint[], $6::text[])
     AS u (seq, progress, outcome, attempt, detail)
WHERE d.run_id = $1 AND d.seq = ANY ($2) AND d.seq = u.seq
