-- Write into file $1 the contacts of run $2 that stand as $3 says, numbered from 1, each with the values it had.
-- Whoever another run of the same schedule reached is not among them; $4: also those who did not answer, reached or not.
-- Returns how many.
WITH wanted AS (
    SELECT d.seq, d.contact_id, d.address, d.customer_id, d."values"
    FROM deliveries d
    JOIN real_runs r ON r.id = d.run_id
    LEFT JOIN retries t ON t.run_id = d.run_id AND t.seq = d.seq
    WHERE d.run_id = $2
      AND (coalesce(d.outcome = ANY ($3), false)
           OR (-1 = ANY ($3) AND d.outcome IS NULL AND d.progress IS NULL AND (d.seq >= r.next_seq OR t.seq IS NOT NULL))
           OR (-4 = ANY ($3) AND d.outcome IS NULL AND d.progress IS NOT NULL)
           OR ($4 AND (d.outcome = 0 OR (d.outcome IS NULL AND d.progress IS NOT NULL))
               AND NOT EXISTS (SELECT FROM conversations v JOIN messages m ON m.conversation_id = v.id
                               WHERE v.contact_id = d.contact_id AND m.author = 'contact' AND m.at >= d.settled_at)))
), reached AS (
    SELECT o.contact_id
    FROM real_runs r
    JOIN real_runs other ON other.schedule_id = r.schedule_id AND other.id <> r.id
    JOIN deliveries o ON o.run_id = other.id
    WHERE r.id = $2 AND (o.outcome IN (0, 14) OR (o.outcome IS NULL AND o.progress IS NOT NULL))
), written AS (
    INSERT INTO file_rows (file_id, seq, line, contact_id, address, customer_id, "values")
    SELECT $1, row_number() OVER (ORDER BY w.seq), 1 + row_number() OVER (ORDER BY w.seq), w.contact_id, w.address,
           w.customer_id, w."values"
    FROM wanted w
    WHERE NOT EXISTS (SELECT FROM reached o WHERE o.contact_id = w.contact_id)
    RETURNING "values"
)
SELECT count(*) AS n FROM written
