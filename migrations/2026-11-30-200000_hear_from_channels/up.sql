-- A channel whose provider tells what becomes of messages, and from which nothing comes any more though messages were
-- taken, is held: what it would send could not be told of either. It goes on when something comes, or somebody says so.
ALTER TABLE channels
    ADD COLUMN heard_at timestamptz,
    ADD COLUMN told_at  timestamptz,
    ADD COLUMN unheard  boolean NOT NULL DEFAULT false;
UPDATE channels SET heard_at = called_at;
COMMENT ON COLUMN channels.heard_at IS 'When something about it came last, by a call or over its line, or somebody checked that it can; to the minute';
COMMENT ON COLUMN channels.told_at  IS 'When what became of a send was told first';
COMMENT ON COLUMN channels.unheard  IS 'It is held because nothing tells any more what becomes of messages';

ALTER TABLE channel_incidents
    DROP CONSTRAINT trouble_is_known,
    ADD CONSTRAINT trouble_is_known CHECK (trouble IN ('credentials', 'funds', 'misset', 'rate-limited', 'temporary', 'callbacks')),
    ADD COLUMN waived_at timestamptz,
    ADD CONSTRAINT only_silence_is_waived CHECK (waived_at IS NULL OR trouble = 'callbacks');
-- That nothing comes goes on whatever else keeps it from sending.
DROP INDEX one_open_incident_of_a_channel;
CREATE UNIQUE INDEX one_open_incident_of_a_channel ON channel_incidents (channel_id, (trouble = 'callbacks')) WHERE ended_at IS NULL;
COMMENT ON COLUMN channel_incidents.waived_at IS 'When somebody let it send all the same, until something comes';
