UPDATE deliveries SET progress = 2 WHERE progress = 3;
UPDATE messages   SET progress = 2 WHERE progress = 3;
ALTER TABLE deliveries DROP CONSTRAINT progress_is_known, ADD CONSTRAINT progress_is_known CHECK (progress IN (1, 2)) NOT VALID;
COMMENT ON COLUMN deliveries.progress IS '1 accepted by the provider, 2 sent on by it; NULL before that';
