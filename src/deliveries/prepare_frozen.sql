-- Write one delivery into run $1 for each contact of the audience that campaign $2
-- froze at its launch, with what is known about the contact now.
INSERT INTO deliveries (run_id, seq, contact_id, address, customer_id, "values")
SELECT $1, row_number() OVER (ORDER BY c.id), c.id, c.address, c.customer_id, c."values"
FROM campaign_audience a JOIN contacts c ON c.id = a.contact_id
WHERE a.campaign_id = $2
