DROP INDEX retries_due;
ALTER TABLE schedule_runs DROP COLUMN passed_over;
ALTER TABLE leases DROP COLUMN seqs;
COMMENT ON COLUMN leases.attempt IS 'Counts tries at this range, from 1; ranges of a later try are one contact wide';
