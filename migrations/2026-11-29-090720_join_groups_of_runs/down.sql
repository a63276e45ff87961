ALTER TABLE schedule_runs
    ADD COLUMN group_by    text,
    ADD COLUMN group_value text,
    ADD COLUMN served      text[],
    ADD CONSTRAINT group_has_a_field CHECK (group_by IS NOT NULL OR (group_value IS NULL AND served IS NULL));
UPDATE schedule_runs
SET group_by = "group" ->> 'by', group_value = "group" ->> 'value',
    served = CASE WHEN "group" ? 'served' THEN ARRAY(SELECT jsonb_array_elements_text("group" -> 'served')) END
WHERE "group" IS NOT NULL;
ALTER TABLE schedule_runs DROP COLUMN "group";
COMMENT ON COLUMN schedule_runs.group_value IS 'Only rows whose field group_by has this value';
COMMENT ON COLUMN schedule_runs.served      IS 'Set on one of several runs of a file: it also keeps the rows of no group, those with none of these values';
