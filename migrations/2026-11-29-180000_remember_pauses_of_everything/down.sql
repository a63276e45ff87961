ALTER TABLE campaigns DROP COLUMN paused_with_all;
DROP TABLE pauses_of_everything;
