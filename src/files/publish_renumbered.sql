-- The staged rows as the audience of file $1, without those whose address
-- stands in an earlier row, numbered anew.
INSERT INTO file_rows (file_id, seq, line, contact_id, address, customer_id, "values")
SELECT $1, row_number() OVER (ORDER BY r.seq), r.line, c.id, r.address, r.customer_id, r."values"
FROM import_rows r
JOIN contacts c ON c.kind = $2 AND c.address = r.address
WHERE NOT EXISTS (SELECT FROM import_repeats WHERE import_repeats.seq = r.seq)
