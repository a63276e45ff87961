-- Some channels tell that a message was looked at. It is delivered, and that was read stands beside it.
ALTER TABLE deliveries DROP CONSTRAINT progress_is_known, ADD CONSTRAINT progress_is_known CHECK (progress IN (1, 2, 3)) NOT VALID;
COMMENT ON COLUMN deliveries.progress IS '1 accepted by the provider, 2 sent on by it, 3 delivered and read; NULL before that';
