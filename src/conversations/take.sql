-- Claim the messages $1, which are locked, for process $2 at $3 until $4, and read them
-- with whatever bars them from being sent. A notice leaves even to those who have
-- opted out; and to those who were blocked after it was written, as its last words.
WITH taken AS (
    UPDATE messages SET state = 'claimed', attempt = attempt + 1, process = $2, lease_ends_at = $4
    WHERE id = ANY ($1)
    RETURNING id, conversation_id, attempt, body, choices, purpose, at
)
SELECT t.id, t.attempt, c.address, t.body, t.choices,
       CASE WHEN b.address IS NOT NULL AND NOT (t.purpose = 'notice' AND t.at <= b.added_at) THEN 10::smallint
            WHEN c.opted_out_at IS NOT NULL AND t.purpose <> 'notice' THEN 23::smallint
            WHEN c.doubted_at IS NOT NULL AND t.purpose IN ('answer', 'reengager') THEN 28::smallint END AS barred
FROM taken t
JOIN conversations v ON v.id = t.conversation_id
JOIN contacts c ON c.id = v.contact_id
LEFT JOIN blocklist b ON b.kind = c.kind AND b.address = c.address AND (b.until IS NULL OR b.until > $3)
ORDER BY t.id
