-- What the database knows: the newest entry of its journal and the newest message, the
-- greatest numbers it has given out, the newest instant of which it has something, and
-- whether everything is held.
SELECT j.id AS entry, j.at AS entry_at, m.id AS message, m.at AS message_at, l.id AS lease,
       greatest(j.at, l.taken_at) AS reaches, (SELECT max(id) FROM schedule_runs) AS run,
       EXISTS (SELECT FROM losses WHERE released_at IS NULL) AS held
FROM (SELECT) AS one
LEFT JOIN LATERAL (SELECT id, at FROM journal ORDER BY id DESC LIMIT 1) AS j ON true
LEFT JOIN LATERAL (SELECT id, at FROM messages ORDER BY id DESC LIMIT 1) AS m ON true
LEFT JOIN LATERAL (SELECT id, taken_at FROM leases ORDER BY id DESC LIMIT 1) AS l ON true
