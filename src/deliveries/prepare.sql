-- Write one delivery for each contact of file $2 into run $1.
INSERT INTO deliveries (run_id, seq, contact_id, address, customer_id, "values")
SELECT $1, seq, contact_id, address, customer_id, "values" FROM file_rows WHERE file_id = $2
