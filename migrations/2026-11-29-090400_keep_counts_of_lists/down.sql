ALTER TABLE lists DROP COLUMN counted, DROP COLUMN counted_at;
