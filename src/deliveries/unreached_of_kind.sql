-- The contacts whom the runs of schedule $2 on the day of run $1 could not reach, on the kind $4, where they are not known
-- there yet: those with a number.
INSERT INTO contacts (kind, address)
SELECT DISTINCT $4, c.address
FROM real_runs mine
JOIN real_runs o ON o.schedule_id = $2 AND o.run_date = mine.run_date
JOIN deliveries d ON d.run_id = o.id
JOIN contacts c ON c.id = d.contact_id
WHERE mine.id = $1 AND d.outcome = ANY ($3) AND c.kind <> $4 AND c.address ~ '^[0-9]+$'
ON CONFLICT (kind, address) DO NOTHING
