-- Write one delivery into run $1 for each contact whom the runs of schedule $2 on its day could not reach: the outcome is
-- one of $3, and no other of these runs has reached them. Each once, numbered in the order of those runs.
--
-- Where the channel of run $1 is of another kind, the contact is the one with the same number on that kind ($4, which
-- are there); whoever has none there is left out. What bars them there is asked when they are claimed.
WITH before AS (
    SELECT d.run_id, d.seq, d.contact_id, d.address, d.customer_id, d."values", d.progress, d.outcome
    FROM real_runs mine
    JOIN real_runs o ON o.schedule_id = $2 AND o.run_date = mine.run_date
    JOIN deliveries d ON d.run_id = o.id
    WHERE mine.id = $1
), once AS (
    SELECT DISTINCT ON (b.contact_id) b.*
    FROM before b
    JOIN contacts c ON c.id = b.contact_id
    WHERE b.outcome = ANY ($3) AND c.opted_out_at IS NULL AND c.doubted_at IS NULL
      AND NOT EXISTS (SELECT FROM before o
                      WHERE o.contact_id = b.contact_id
                        AND (o.outcome IN (0, 14) OR (o.outcome IS NULL AND o.progress IS NOT NULL)))
    ORDER BY b.contact_id, b.run_id, b.seq
)
INSERT INTO deliveries (run_id, seq, contact_id, address, customer_id, "values")
SELECT $1, row_number() OVER (ORDER BY o.run_id, o.seq), t.id, t.address, o.customer_id, o."values"
FROM once o
JOIN contacts c ON c.id = o.contact_id
JOIN contacts t ON t.kind = $4 AND t.address = c.address
