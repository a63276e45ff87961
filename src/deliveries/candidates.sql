-- The contacts $2 of run $1, with whatever a claim may have to ask about them.
WITH d AS MATERIALIZED (
    SELECT seq, contact_id, address, "values" FROM deliveries WHERE run_id = $1 AND seq = ANY ($2)
)
SELECT d.seq, d.contact_id, d.address, d."values", x.why AS replaced
FROM unnest($2) WITH ORDINALITY AS u (seq, place)
JOIN d ON d.seq = u.seq
LEFT JOIN replacements x ON x.run_id = $1 AND x.seq = d.seq
ORDER BY u.place
