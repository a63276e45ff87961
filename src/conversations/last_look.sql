-- Of the messages $1, whose claim has committed, those that must not leave at $2, and why.
-- A claim commits and then asks for consent; whoever opts somebody out commits and then asks
-- for claims (contacts/on_the_wire.sql): whichever comes second sees the other.
--
-- A notice leaves even to those who have opted out, if it is not older: it tells them so, or
-- is what they asked for since. And to those whom a bot has blocked, as its last words.
SELECT m.id,
       CASE WHEN b.address IS NOT NULL      THEN 10::smallint
            WHEN c.opted_out_at IS NOT NULL THEN 23::smallint
            ELSE 28::smallint END AS barred
FROM messages m
JOIN conversations v ON v.id = m.conversation_id
JOIN contacts c ON c.id = v.contact_id
LEFT JOIN blocklist b ON b.kind = c.kind AND b.address = c.address AND (b.until IS NULL OR b.until > $2)
                     AND NOT (m.purpose = 'notice' AND b.added_by IS NULL AND b.added_at = m.at)
WHERE m.id = ANY ($1)
  AND (b.address IS NOT NULL
       OR (c.opted_out_at IS NOT NULL AND (m.purpose <> 'notice' OR m.at < c.opted_out_at))
       OR (c.doubted_at IS NOT NULL AND m.purpose IN ('answer', 'reengager')))
