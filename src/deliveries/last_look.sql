-- Of the contacts $1, whose claim has committed, those who must not be written to at $2, and why.
--
-- A claim commits and then asks for consent; whoever opts somebody out commits and then asks
-- for claims (contacts/on_the_wire.sql). Whichever comes second sees the other, and neither
-- has to lock anything for it.
SELECT c.id,
       CASE WHEN b.address IS NOT NULL      THEN 10::smallint
            WHEN c.opted_out_at IS NOT NULL THEN 23::smallint
            ELSE 28::smallint END AS barred
FROM contacts c
LEFT JOIN blocklist b ON b.kind = c.kind AND b.address = c.address AND (b.until IS NULL OR b.until > $2)
WHERE c.id = ANY ($1)
  AND (b.address IS NOT NULL OR c.opted_out_at IS NOT NULL OR c.doubted_at IS NOT NULL)
