DELETE FROM dry_runs WHERE state = 'failed';
ALTER TABLE dry_runs
    DROP COLUMN tries,
    DROP CONSTRAINT dry_run_state_is_known,
    ADD CONSTRAINT dry_run_state_is_known CHECK (state IN ('waiting', 'running', 'done'));
ALTER TABLE files DROP COLUMN tries;
