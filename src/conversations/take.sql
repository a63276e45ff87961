-- Claim the messages $1, which are locked, for process $2 until $3, and read them; it is $4. What bars
-- them is asked when this has committed: see last_look.sql.
WITH taken AS (
    UPDATE messages SET state = 'claimed', attempt = attempt + 1, process = $2, lease_ends_at = $3, claimed_at = $4
    WHERE id = ANY ($1)
    RETURNING id, conversation_id, attempt, body, choices, refusals, template
)
SELECT t.id, t.attempt, c.address, t.body, t.choices, t.refusals, t.template
FROM taken t
JOIN conversations v ON v.id = t.conversation_id
JOIN contacts c ON c.id = v.contact_id
ORDER BY t.id
