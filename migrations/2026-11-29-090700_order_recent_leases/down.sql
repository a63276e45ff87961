DROP INDEX leases_recent;
DROP INDEX leases_recent_of_channel;
CREATE INDEX leases_recent ON leases (run_id, taken_at);
CREATE INDEX leases_recent_of_channel ON leases (channel_id, taken_at) WHERE channel_before IS NOT NULL;
