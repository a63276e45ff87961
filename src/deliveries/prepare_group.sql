-- Write one delivery into run $1 for each contact of file $2 whose field $3 has one
-- of the values $4, numbered in file order after $5.
INSERT INTO deliveries (run_id, seq, contact_id, address, customer_id, "values")
SELECT $1, $5 + row_number() OVER (ORDER BY seq), contact_id, address, customer_id, "values"
FROM file_rows
WHERE file_id = $2 AND "values" ->> $3 = ANY ($4)
