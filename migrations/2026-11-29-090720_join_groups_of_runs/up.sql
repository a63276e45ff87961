-- What belongs together stands together, and the table has no more columns than its readers can do with.
ALTER TABLE schedule_runs ADD COLUMN "group" jsonb;
UPDATE schedule_runs
SET "group" = jsonb_strip_nulls(jsonb_build_object('by', group_by, 'value', group_value, 'served', to_jsonb(served)))
WHERE group_by IS NOT NULL AND group_value IS NOT NULL;
ALTER TABLE schedule_runs
    DROP CONSTRAINT group_has_a_field,
    DROP COLUMN group_by,
    DROP COLUMN group_value,
    DROP COLUMN served;
COMMENT ON COLUMN schedule_runs."group" IS 'Only rows whose field "by" has this "value"; with "served" it also keeps the rows with none of these values, as not sent to';
