-- How many contacts of file $1 a run of the campaigns $2 has reached, or may have.
SELECT count(*) AS n
FROM file_rows f
WHERE f.file_id = $1
  AND EXISTS (SELECT FROM deliveries d
              JOIN real_runs r ON r.id = d.run_id
              WHERE d.contact_id = f.contact_id AND r.campaign_id = ANY ($2)
                AND (d.outcome IN (0, 14) OR (d.outcome IS NULL AND d.progress IS NOT NULL)))
