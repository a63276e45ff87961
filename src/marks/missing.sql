-- Whether something is missing that was written down: one of the claims $1, each made by
-- its process $2; one of the claims of replies $3, each at least its $4th try; the entry
-- $5 of the journal, written at $6; or message $7, of $8.
--
-- Numbers alone say nothing: after a restore they are given out a second time. Asked
-- before every claim, so it looks up rows by their keys and nothing else.
SELECT (SELECT count(*) FROM unnest($1::bigint[], $2::uuid[]) AS u (id, process)
        JOIN leases l ON l.id = u.id AND l.process = u.process WHERE l.id = ANY ($1)) < cardinality($1)
    OR (SELECT count(*) FROM unnest($3::bigint[], $4::smallint[]) AS u (id, attempt)
        JOIN messages m ON m.id = u.id AND m.attempt >= u.attempt WHERE m.id = ANY ($3)) < cardinality($3)
    OR ($5 IS NOT NULL AND NOT EXISTS (SELECT FROM journal WHERE id = $5 AND at = $6))
    OR ($7 IS NOT NULL AND NOT EXISTS (SELECT FROM messages WHERE id = $7 AND at = $8)) AS missing
