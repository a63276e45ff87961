DROP VIEW real_runs;
ALTER TABLE messages      DROP COLUMN template;
ALTER TABLE schedule_runs DROP COLUMN template;
CREATE VIEW real_runs AS SELECT * FROM schedule_runs WHERE purpose = 'campaign';
COMMENT ON VIEW real_runs IS 'Runs that campaigns make, without test messages.';
ALTER TABLE schedules     DROP COLUMN template;
ALTER TABLE channels DROP COLUMN templates_error, DROP COLUMN templates_at;
DROP TABLE channel_templates;
