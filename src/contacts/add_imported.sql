-- The addresses of an import that are no contacts of kind $1 yet, as contacts. $2: a field of
-- it is known in another spelling.
--
-- In order, so that two imports that share addresses wait for one another
-- instead of for each other; bytewise, because that is the quickest order.
INSERT INTO contacts (kind, address, customer_id, "values")
SELECT $1, r.address, r.customer_id, CASE WHEN $2 THEN spelled(r."values") ELSE r."values" END
FROM import_rows r
WHERE NOT EXISTS (SELECT FROM import_repeats p WHERE p.seq = r.seq)
  AND NOT EXISTS (SELECT FROM contacts c WHERE c.kind = $1 AND c.address = r.address)
ORDER BY r.address COLLATE "C"
