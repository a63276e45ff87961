-- How many contacts of file $1 have written on channel $2 since $3.
SELECT count(*) AS n
FROM file_rows f
WHERE f.file_id = $1
  AND f.contact_id IN (SELECT v.contact_id FROM conversations v
                       WHERE v.channel_id = $2 AND v.last_at > $3
                         AND EXISTS (SELECT FROM messages m
                                     WHERE m.conversation_id = v.id AND m.author = 'contact' AND m.at > $3))
