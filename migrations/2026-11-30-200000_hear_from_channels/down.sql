DELETE FROM channel_incidents WHERE trouble = 'callbacks';
DROP INDEX one_open_incident_of_a_channel;
CREATE UNIQUE INDEX one_open_incident_of_a_channel ON channel_incidents (channel_id) WHERE ended_at IS NULL;
ALTER TABLE channel_incidents
    DROP CONSTRAINT only_silence_is_waived,
    DROP COLUMN waived_at,
    DROP CONSTRAINT trouble_is_known,
    ADD CONSTRAINT trouble_is_known CHECK (trouble IN ('credentials', 'funds', 'misset', 'rate-limited', 'temporary'));
ALTER TABLE channels DROP COLUMN unheard, DROP COLUMN told_at, DROP COLUMN heard_at;
