-- What a channel with a limit or a pace has taken, campaigns and replies alike, one row for each claim. Until now leases
-- said so, and replies, which have none, wrote leases that leased nothing.
CREATE TABLE channel_takes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id bigint      NOT NULL REFERENCES channels,
    before     bigint      NOT NULL,
    lease_id   bigint,
    taken_at   timestamptz NOT NULL
);
COMMENT ON TABLE  channel_takes IS 'Kept for a day: the longest stretch over which a pace is kept is shorter';
COMMENT ON COLUMN channel_takes.before   IS 'How many sends the channel had taken before these: what the last 60 s took is one subtraction';
COMMENT ON COLUMN channel_takes.lease_id IS 'Says when they began, once they have settled; NULL for replies, which count as begun as late as they may';
CREATE INDEX channel_takes_recent ON channel_takes (channel_id, taken_at, id);
CREATE INDEX channel_takes_old    ON channel_takes (taken_at);

INSERT INTO channel_takes (channel_id, before, lease_id, taken_at)
SELECT channel_id, channel_before, CASE WHEN run_id IS NOT NULL THEN id END, taken_at
FROM leases
WHERE channel_before IS NOT NULL AND taken_at > now() - interval '1 day'
ORDER BY id;

DELETE FROM leases WHERE run_id IS NULL;
DROP INDEX leases_recent_of_channel;
ALTER TABLE leases
    DROP CONSTRAINT replies_have_settled,
    DROP COLUMN channel_before,
    DROP COLUMN channel_id,
    ALTER COLUMN run_id SET NOT NULL;
COMMENT ON COLUMN leases.run_id IS NULL;
