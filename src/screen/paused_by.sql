-- Who paused the campaigns $1 and the schedules $2 last. They stand still, so the entry is
-- among the newest of its campaign.
SELECT w.as_a_whole, w.id, j.at, u.name, j.nobody
FROM (SELECT true AS as_a_whole, id, id AS campaign_id, 'campaign.paused' AS happened
      FROM campaigns WHERE id = ANY ($1)
      UNION ALL
      SELECT false, id, campaign_id, 'schedule.paused' FROM schedules WHERE id = ANY ($2)) w
CROSS JOIN LATERAL (
    SELECT at, user_id, nobody FROM journal
    WHERE campaign_id = w.campaign_id AND subject_id = w.id AND happened = w.happened AND was IS DISTINCT FROM became
    ORDER BY id DESC LIMIT 1
) j
LEFT JOIN users u ON u.id = j.user_id
