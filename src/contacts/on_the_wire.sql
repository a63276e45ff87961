-- Of the contacts $1, those to whom something may still begin to leave: a send under an open
-- lease about which nothing is known, or a claimed reply. A notice that is no older than the
-- opt-out or the block leaves all the same: it tells of it.
--
-- From the contacts: they are a few, and have few deliveries each.
SELECT d.contact_id AS id
FROM deliveries d
JOIN leases l ON l.run_id = d.run_id AND l.open > 0 AND d.seq BETWEEN l.lo AND l.hi
             AND (l.seqs IS NULL OR d.seq = ANY (l.seqs))
WHERE d.contact_id = ANY ($1) AND d.settled_at IS NULL
  AND NOT EXISTS (SELECT FROM retries t WHERE t.run_id = d.run_id AND t.seq = d.seq)
UNION
SELECT v.contact_id
FROM messages m
JOIN conversations v ON v.id = m.conversation_id
JOIN contacts c ON c.id = v.contact_id
LEFT JOIN blocklist b ON b.kind = c.kind AND b.address = c.address
WHERE m.state = 'claimed' AND v.contact_id = ANY ($1)
  AND (m.purpose <> 'notice' OR m.at < c.opted_out_at OR m.at < b.added_at)
