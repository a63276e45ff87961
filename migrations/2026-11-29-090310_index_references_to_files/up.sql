-- Asked before a file is deleted, for every file on the page that lists them.
CREATE INDEX campaigns_of_file     ON campaigns     (file_id) WHERE file_id IS NOT NULL;
CREATE INDEX schedule_runs_of_file ON schedule_runs (file_id) WHERE file_id IS NOT NULL;
CREATE INDEX drops_of_file         ON drops         (file_id) WHERE file_id IS NOT NULL;
