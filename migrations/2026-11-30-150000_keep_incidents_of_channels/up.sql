-- When a channel could not send, and why: its provider refuses our account, has no funds of ours, is too fast for, or
-- cannot be reached. Whatever waits for such a channel shows it, and nobody is burnt on it meanwhile.
CREATE TABLE channel_incidents (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id bigint      NOT NULL REFERENCES channels,
    trouble    text        NOT NULL,
    code       text        NOT NULL,
    began_at   timestamptz NOT NULL,
    last_at    timestamptz NOT NULL,
    ended_at   timestamptz,
    CONSTRAINT trouble_is_known CHECK (trouble IN ('credentials', 'funds', 'misset', 'rate-limited', 'temporary')),
    CONSTRAINT incident_ends_after_its_beginning CHECK (began_at <= ended_at)
);
CREATE UNIQUE INDEX one_open_incident_of_a_channel ON channel_incidents (channel_id) WHERE ended_at IS NULL;
CREATE INDEX channel_incidents_by_channel ON channel_incidents (channel_id, id DESC);
COMMENT ON COLUMN channel_incidents.code     IS 'What the provider said last';
COMMENT ON COLUMN channel_incidents.last_at  IS 'When it said so last';
COMMENT ON COLUMN channel_incidents.ended_at IS 'When a message was taken again; NULL while none was';
