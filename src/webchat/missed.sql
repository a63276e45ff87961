-- What each of the visitors $1 has not seen after the number $2 beside it: one question for
-- everybody whose widget is open. Who has missed nothing costs one look at their row.
--
-- Numbers are given and messages written under the visitor's lock, in one transaction. So
-- whoever sees a number sees every message up to it.
SELECT m.visitor_id, m.seq, m.client_id, m.body, m.choices, m.at
FROM unnest($1, $2) AS w (visitor_id, seen)
JOIN webchat_visitors v ON v.id = w.visitor_id AND v.last_seq > w.seen
JOIN webchat_messages m ON m.visitor_id = v.id AND m.seq > w.seen
ORDER BY m.visitor_id, m.seq
LIMIT $3
