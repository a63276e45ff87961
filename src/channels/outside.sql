-- Those of contacts $1 who have written on none of channels $2 since $3, and whether account $4 has reached them since
-- then all the same.
SELECT u.id AS contact_id,
       EXISTS (SELECT FROM reached_people p WHERE p.account = $4 AND p.contact_id = u.id AND p.at > $3) AS is_reached
FROM unnest($1::bigint[]) AS u (id)
WHERE NOT EXISTS (SELECT FROM conversations v
                  JOIN messages m ON m.conversation_id = v.id AND m.author = 'contact' AND m.at > $3
                  WHERE v.contact_id = u.id AND v.channel_id = ANY ($2) AND v.last_at > $3)
