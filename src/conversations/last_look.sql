-- Of the messages $1, whose claim has committed, those that must not leave at $2, and why.
-- A claim commits and then asks for consent; whoever opts somebody out commits and then asks
-- for claims (contacts/on_the_wire.sql): whichever comes second sees the other.
--
-- A notice leaves even to those who have opted out, if it is not older: it tells them so, or
-- is what they asked for since. And to those whom a bot has blocked, as its last words.
SELECT m.id, r.outcome AS barred
FROM messages m
JOIN conversations v ON v.id = m.conversation_id
JOIN reach($2) r ON r.contact_id = v.contact_id
WHERE m.id = ANY ($1)
  AND ((r.blocked_at IS NOT NULL AND NOT (m.purpose = 'notice' AND r.blocked_by IS NULL AND r.blocked_at = m.at))
       OR (r.opted_out_at IS NOT NULL AND (m.purpose <> 'notice' OR m.at < r.opted_out_at))
       OR (r.doubted_at IS NOT NULL AND m.purpose IN ('answer', 'reengager')))
