-- Work that ends whoever does it is not begun again for ever.
ALTER TABLE files ADD COLUMN tries smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN files.tries IS 'How often its import was begun since somebody ordered it; counted before it begins, so that one that kills its worker counts';

ALTER TABLE dry_runs
    ADD COLUMN tries smallint NOT NULL DEFAULT 0,
    DROP CONSTRAINT dry_run_state_is_known,
    ADD CONSTRAINT dry_run_state_is_known CHECK (state IN ('waiting', 'running', 'done', 'failed'));
COMMENT ON COLUMN dry_runs.tries IS 'How often it was begun since it was asked for; one that was begun too often without an end has failed';
