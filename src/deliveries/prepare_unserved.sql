-- Write the contacts of file $2 whose field $3 has none of the values $4 into run
-- $1, numbered from 1, each with the outcome that it has no group.
INSERT INTO deliveries (run_id, seq, contact_id, address, customer_id, "values", outcome, attempt, detail, settled_at)
SELECT $1, row_number() OVER (ORDER BY seq), contact_id, address, customer_id, "values", 21, 0,
       $3 || ': ' || coalesce(left("values" ->> $3, 100), 'nothing'), $5
FROM file_rows
WHERE file_id = $2 AND NOT coalesce("values" ->> $3 = ANY ($4), false)
