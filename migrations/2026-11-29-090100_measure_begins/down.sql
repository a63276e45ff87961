ALTER TABLE channels DROP COLUMN paced_at, DROP COLUMN pace;
ALTER TABLE messages DROP COLUMN refusals;
COMMENT ON COLUMN retries.attempt IS 'Number of the attempt to make, 2 or more';
ALTER TABLE retries DROP COLUMN refusals;
ALTER TABLE leases DROP COLUMN begun_at;
