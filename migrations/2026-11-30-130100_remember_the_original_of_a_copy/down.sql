ALTER TABLE campaigns DROP COLUMN copied_from;
