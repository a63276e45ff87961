-- The staged rows as the audience of file $1, when no address repeats: then
-- their numbers have no gaps.
INSERT INTO file_rows (file_id, seq, line, contact_id, address, customer_id, "values")
SELECT $1, r.seq, r.line, c.id, r.address, r.customer_id, r."values"
FROM import_rows r
JOIN contacts c ON c.kind = $2 AND c.address = r.address
