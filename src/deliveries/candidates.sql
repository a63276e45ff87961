-- The contacts $2 of run $1, with whatever a claim may have to ask about them.
SELECT d.seq, d.contact_id, d.address, d."values", x.why AS replaced
FROM unnest($2) WITH ORDINALITY AS u (seq, place)
JOIN deliveries d ON d.run_id = $1 AND d.seq = u.seq
LEFT JOIN replacements x ON x.run_id = d.run_id AND x.seq = d.seq
ORDER BY u.place
