ALTER TABLE leases
    ALTER COLUMN run_id DROP NOT NULL,
    ADD COLUMN channel_id bigint REFERENCES channels,
    ADD COLUMN channel_before bigint;
UPDATE leases l SET channel_id = r.channel_id FROM schedule_runs r WHERE r.id = l.run_id;
UPDATE leases l SET channel_before = t.before FROM channel_takes t WHERE t.lease_id = l.id;
INSERT INTO leases (lo, hi, attempt, open, released_before, channel_id, channel_before, process, taken_at, expires_at)
SELECT 1, 1, 1, 0, 0, channel_id, before, gen_random_uuid(), taken_at, taken_at FROM channel_takes WHERE lease_id IS NULL;
ALTER TABLE leases
    ALTER COLUMN channel_id SET NOT NULL,
    ADD CONSTRAINT replies_have_settled CHECK (run_id IS NOT NULL OR (open = 0 AND channel_before IS NOT NULL));
CREATE INDEX leases_recent_of_channel ON leases (channel_id, taken_at, id) WHERE channel_before IS NOT NULL;
DROP TABLE channel_takes;
