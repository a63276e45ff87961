DROP TABLE inbound_parts;
ALTER TABLE parked_receipts DROP COLUMN class;
ALTER TABLE channels
    DROP COLUMN credentials,
    DROP COLUMN called_at,
    DROP CONSTRAINT provider_is_known,
    ADD CONSTRAINT provider_is_known CHECK (provider IN ('sandbox', 'webchat'));
COMMENT ON COLUMN channels.secret IS 'Signs webhook calls between the provider and us';
