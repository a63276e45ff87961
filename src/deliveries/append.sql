-- Write one delivery into run $1 for each contact of file $2, numbered in file order
-- after $3; of those whose field $4 has one of the values $5 if a field is given.
--
-- Contacts that one of the runs $6 has are left out, unless they had no group there
-- (21) or were replaced (25): nobody gets the day's message twice.
INSERT INTO deliveries (run_id, seq, contact_id, address, customer_id, "values")
SELECT $1, $3 + row_number() OVER (ORDER BY f.seq), f.contact_id, f.address, f.customer_id, f."values"
FROM file_rows f
WHERE f.file_id = $2
  AND ($4 IS NULL OR f."values" ->> $4 = ANY ($5))
  AND NOT EXISTS (
      SELECT FROM deliveries d
      WHERE d.run_id = ANY ($6) AND d.contact_id = f.contact_id
        AND d.outcome IS DISTINCT FROM 21 AND d.outcome IS DISTINCT FROM 25
  )
