DROP TABLE channel_lines;
ALTER TABLE channels
    DROP CONSTRAINT provider_is_known,
    ADD CONSTRAINT provider_is_known CHECK (provider IN ('sandbox', 'webchat', 'http', 'twilio', 'whatsapp', 'messenger', 'viber'));
