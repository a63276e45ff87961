-- A configured sender: what kind of message, through which provider, as whom,
-- and how fast it may go whatever its schedules ask for.
CREATE TABLE channels (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL,
    kind       text        NOT NULL,
    provider   text        NOT NULL,
    sender     text        NOT NULL,
    per_minute integer,
    settings   jsonb       NOT NULL DEFAULT '{}',
    secret     text        NOT NULL,
    taken      bigint      NOT NULL DEFAULT 0,
    held_until timestamptz,
    created_at timestamptz NOT NULL,

    CONSTRAINT kind_is_known        CHECK (kind IN ('sms', 'whatsapp', 'messenger', 'viber', 'webchat')),
    CONSTRAINT one_channel_per_name UNIQUE (name),
    CONSTRAINT limit_is_positive    CHECK (per_minute > 0)
) WITH (fillfactor = 50);
COMMENT ON COLUMN channels.per_minute IS 'Most sends that may begin within any 60 s, over all its schedules; NULL for no limit';
COMMENT ON COLUMN channels.settings   IS 'What the adapter wants to know; for the sandbox latency, error rate, seed and so on';
COMMENT ON COLUMN channels.secret     IS 'Signs webhook calls between the provider and us';
COMMENT ON COLUMN channels.taken      IS 'Sends ever claimed while the channel had a limit; leases.channel_before is cut from it';
COMMENT ON COLUMN channels.held_until IS 'The provider asked for silence until then';
