-- Write into file $1 the contacts of runs $2 that stand as $3 says, numbered from 1, each once, with the values that the
-- last of the runs had of them. $4: also those who did not answer, reached or not.
-- Whoever was reached by a run of these schedules, or of one that follows them, is not among them, unless it is one of
-- the runs and they stand so there.
-- Returns how many.
WITH wanted AS (
    SELECT d.run_id, d.seq, d.contact_id, d.address, d.customer_id, d."values"
    FROM deliveries d
    JOIN real_runs r ON r.id = d.run_id
    LEFT JOIN retries t ON t.run_id = d.run_id AND t.seq = d.seq
    WHERE d.run_id = ANY ($2)
      AND (coalesce(d.outcome = ANY ($3), false)
           OR (-1 = ANY ($3) AND d.outcome IS NULL AND d.progress IS NULL AND (d.seq >= r.next_seq OR t.seq IS NOT NULL))
           OR (-4 = ANY ($3) AND d.outcome IS NULL AND d.progress IS NOT NULL)
           OR ($4 AND (d.outcome = 0 OR (d.outcome IS NULL AND d.progress IS NOT NULL))
               AND NOT EXISTS (SELECT FROM conversations v JOIN messages m ON m.conversation_id = v.id
                               WHERE v.contact_id = d.contact_id AND m.author = 'contact' AND m.at >= d.settled_at)))
), reached AS (
    SELECT o.contact_id
    FROM deliveries o
    JOIN real_runs other ON other.id = o.run_id
    WHERE other.schedule_id IN (SELECT r.schedule_id FROM real_runs r WHERE r.id = ANY ($2))
      AND (o.outcome IN (0, 14) OR (o.outcome IS NULL AND o.progress IS NOT NULL))
      AND NOT EXISTS (SELECT FROM wanted w WHERE w.run_id = o.run_id AND w.seq = o.seq)
    UNION ALL
    -- On another channel, by a schedule that goes to those whom one of these could not reach: the same number there.
    SELECT c.id
    FROM real_runs other
    JOIN deliveries o ON o.run_id = other.id
    JOIN contacts t ON t.id = o.contact_id
    JOIN contacts c ON c.address = t.address
    WHERE (other.rules #>> '{after,schedule}')::bigint IN
              (SELECT r.schedule_id FROM real_runs r WHERE r.id = ANY ($2))
      AND (o.outcome IN (0, 14) OR (o.outcome IS NULL AND o.progress IS NOT NULL))
), once AS (
    SELECT DISTINCT ON (w.contact_id) w.*
    FROM wanted w
    WHERE NOT EXISTS (SELECT FROM reached o WHERE o.contact_id = w.contact_id)
    ORDER BY w.contact_id, w.run_id DESC, w.seq
), written AS (
    INSERT INTO file_rows (file_id, seq, line, contact_id, address, customer_id, "values")
    SELECT $1, row_number() OVER (ORDER BY o.run_id, o.seq), 1 + row_number() OVER (ORDER BY o.run_id, o.seq), o.contact_id,
           o.address, o.customer_id, o."values"
    FROM once o
    RETURNING "values"
)
SELECT count(*) AS n FROM written
