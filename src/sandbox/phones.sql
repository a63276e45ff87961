-- Up to $3 phones with $1 in their number, by their newest message, from before
-- message $2 on.
--
-- It walks back through the messages and passes over those that have a newer one
-- on the same phone, so it reads as far as the page goes and not all messages.
SELECT m.id AS last, m.phone AS number, m.body AS text, m.part IS NULL AS own, m.at,
       (SELECT count(*) FROM sandbox_messages a WHERE a.phone = m.phone) AS n
FROM sandbox_messages m
WHERE m.id < coalesce($2, 9223372036854775807)
  AND strpos(m.phone, $1) > 0
  AND NOT EXISTS (SELECT FROM sandbox_messages newer WHERE newer.phone = m.phone AND newer.id > m.id)
ORDER BY m.id DESC
LIMIT $3
