ALTER TABLE channels
    DROP CONSTRAINT provider_is_known,
    ADD CONSTRAINT provider_is_known CHECK (provider IN ('sandbox', 'webchat', 'http', 'twilio', 'whatsapp'));
ALTER TABLE messages DROP COLUMN claimed_at;
DELETE FROM parked_receipts WHERE reference IS NULL;
DROP INDEX parked_receipts_to_whom;
ALTER TABLE parked_receipts
    DROP CONSTRAINT about_something,
    DROP COLUMN to_whom,
    DROP COLUMN up_to,
    DROP COLUMN may_adopt,
    ALTER COLUMN reference SET NOT NULL;
