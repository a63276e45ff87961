-- What each of the visitors $1 has not seen after the number $2 beside it: one question for
-- everybody whose widget is open. Who has missed nothing costs one look at their row.
--
-- Numbers are given and messages written under the visitor's lock, in one transaction. So
-- whoever sees a number sees every message up to it.
--
-- Of each visitor the next $4, and of all the $3 that come first for somebody: one who missed
-- thousands is given them bit by bit and does not hold up the others.
SELECT m.visitor_id, m.seq, m.client_id, m.body, m.choices, m.at
FROM unnest($1, $2) AS w (visitor_id, seen)
JOIN webchat_visitors v ON v.id = w.visitor_id AND v.last_seq > w.seen
CROSS JOIN LATERAL (
    SELECT * FROM webchat_messages
    WHERE visitor_id = v.id AND seq > w.seen
    ORDER BY seq
    LIMIT $4
) m
ORDER BY m.seq - w.seen, m.visitor_id
LIMIT $3
