-- Which of the files $1 something refers to: those stay.
--
-- A list is not among it: it has the contacts themselves, and forgets where they came from.
SELECT file_id AS id FROM campaigns     WHERE file_id = ANY ($1)
UNION
SELECT file_id AS id FROM schedule_runs WHERE file_id = ANY ($1)
UNION
SELECT file_id AS id FROM drops         WHERE file_id = ANY ($1)
