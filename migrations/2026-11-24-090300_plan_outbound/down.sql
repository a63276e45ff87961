DROP TABLE replacements;
COMMENT ON COLUMN retries.attempt IS 'Number of the attempt to make, 2 or more';
ALTER TABLE deliveries
    DROP CONSTRAINT outcome_is_known,
    ADD CONSTRAINT outcome_is_known CHECK (outcome IN (0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 14, 20, 21, 22, 23, 24));
DROP INDEX runs_of_schedule;
DROP INDEX one_run_per_start;
ALTER TABLE schedule_runs
    DROP COLUMN purpose, DROP COLUMN auto_rate, DROP COLUMN rules, DROP COLUMN fields, DROP COLUMN group_by,
    DROP COLUMN group_value, DROP COLUMN served, DROP COLUMN canary_passed_at,
    ALTER COLUMN file_id SET NOT NULL,
    ADD CONSTRAINT one_run_per_date UNIQUE (schedule_id, run_date);
DROP INDEX schedules_due;
ALTER TABLE schedules
    DROP COLUMN recurrence, DROP COLUMN next_run_at, DROP COLUMN group_value, DROP COLUMN rules,
    ALTER COLUMN run_date SET NOT NULL,
    ALTER COLUMN rate SET NOT NULL;
DROP TABLE campaign_lists;
ALTER TABLE campaigns
    DROP CONSTRAINT kind_is_known,
    DROP CONSTRAINT launched_has_file,
    DROP COLUMN group_by, DROP COLUMN "freeze", DROP COLUMN quiet, DROP COLUMN quiet_from, DROP COLUMN quiet_to,
    DROP COLUMN blackouts_apply, DROP COLUMN start_key,
    ADD CONSTRAINT kind_is_known     CHECK (kind IN ('once_off')),
    ADD CONSTRAINT launched_has_file CHECK (state = 'draft' OR file_id IS NOT NULL);
