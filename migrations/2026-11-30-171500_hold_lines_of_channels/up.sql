-- Channels whose provider wants a line held open, such as a bind to an SMSC: one process at a time holds it, and only
-- that one sends.
ALTER TABLE channels
    DROP CONSTRAINT provider_is_known,
    ADD CONSTRAINT provider_is_known CHECK (provider IN ('sandbox', 'webchat', 'http', 'twilio', 'whatsapp', 'messenger', 'viber', 'smpp'));

CREATE TABLE channel_lines (
    channel_id bigint      PRIMARY KEY REFERENCES channels,
    process    uuid        NOT NULL,
    until      timestamptz NOT NULL
);
COMMENT ON TABLE channel_lines IS 'Which process holds the line of a channel';
COMMENT ON COLUMN channel_lines.process IS 'Made by it when it started';
COMMENT ON COLUMN channel_lines.until   IS 'Another may take it from then on. Its holder says so again each second, and sends nothing for the last two without it';
