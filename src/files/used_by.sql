-- The campaigns behind what refers to the files $1: the same three things as in used.sql.
SELECT u.file_id, u.campaign_id, c.name
FROM (SELECT file_id, id AS campaign_id FROM campaigns WHERE file_id = ANY ($1)
      UNION
      SELECT file_id, campaign_id FROM schedule_runs WHERE file_id = ANY ($1)
      UNION
      SELECT file_id, campaign_id FROM drops WHERE file_id = ANY ($1)) AS u
JOIN campaigns c ON c.id = u.campaign_id
ORDER BY u.file_id, c.name
