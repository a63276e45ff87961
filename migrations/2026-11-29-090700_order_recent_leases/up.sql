-- Many leases are of the same instant, since claims are made on a beat. With the number in the index the
-- oldest few within a minute are the first that it leads to, and nothing is sorted while a run's row is locked.
DROP INDEX leases_recent;
DROP INDEX leases_recent_of_channel;
CREATE INDEX leases_recent ON leases (run_id, taken_at, id);
CREATE INDEX leases_recent_of_channel ON leases (channel_id, taken_at, id) WHERE channel_before IS NOT NULL;
