ALTER TABLE drops DROP COLUMN dismissed_at;
