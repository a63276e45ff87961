-- Some providers say of everything that had left for somebody by an instant that it arrived, and some tell of a send by a
-- reference that they never gave us. Both are about sends to one address, and wait here only while one of those has no
-- answer yet.
ALTER TABLE parked_receipts
    ALTER COLUMN reference DROP NOT NULL,
    ADD COLUMN to_whom   text,
    ADD COLUMN up_to     timestamptz,
    ADD COLUMN may_adopt boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT about_something CHECK (reference IS NOT NULL OR (to_whom IS NOT NULL AND up_to IS NOT NULL));
CREATE INDEX parked_receipts_to_whom ON parked_receipts (channel_id, id) WHERE to_whom IS NOT NULL;
COMMENT ON COLUMN parked_receipts.reference IS 'NULL: it is about everything that had left for to_whom by up_to';
COMMENT ON COLUMN parked_receipts.to_whom   IS 'The address on the channel''s kind, where it waits only while something to there has no answer';
COMMENT ON COLUMN parked_receipts.may_adopt IS 'Of the one send to there that is unconfirmed, if no other has the reference';

ALTER TABLE messages ADD COLUMN claimed_at timestamptz;
COMMENT ON COLUMN messages.claimed_at IS 'Of the last try; it began within a second of it. NULL before there was one';

ALTER TABLE channels
    DROP CONSTRAINT provider_is_known,
    ADD CONSTRAINT provider_is_known CHECK (provider IN ('sandbox', 'webchat', 'http', 'twilio', 'whatsapp', 'messenger', 'viber'));
