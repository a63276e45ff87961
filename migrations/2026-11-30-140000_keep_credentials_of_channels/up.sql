-- Channels of real providers: an account somewhere else, whose credentials are kept sealed under a key that is not in
-- the database; what went wrong when a receipt says that a message failed; and texts that come in several pieces.
ALTER TABLE channels
    ADD COLUMN credentials text,
    ADD COLUMN called_at timestamptz,
    DROP CONSTRAINT provider_is_known,
    ADD CONSTRAINT provider_is_known CHECK (provider IN ('sandbox', 'webchat', 'http', 'twilio', 'whatsapp')),
    ADD CONSTRAINT credentials_are_sealed CHECK (credentials LIKE 'k1:%');
COMMENT ON COLUMN channels.secret      IS 'Made by us: signs calls of the sandbox and tokens of visitors, and is the part of a channel''s address that nobody can guess';
COMMENT ON COLUMN channels.called_at   IS 'When its provider called us last, to the minute';
COMMENT ON COLUMN channels.credentials IS 'Of the account at the provider, sealed: k1:<name of the key>:<nonce and AES-256-GCM>';

ALTER TABLE parked_receipts ADD COLUMN class text;
COMMENT ON COLUMN parked_receipts.class IS 'Whose fault it is that the message failed';

CREATE TABLE inbound_parts (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id bigint      NOT NULL REFERENCES channels,
    from_whom  text        NOT NULL,
    of_text    text        NOT NULL,
    n          integer     NOT NULL,
    n_of       integer     NOT NULL,
    message    jsonb       NOT NULL,
    came_at    timestamptz NOT NULL,
    joined     boolean     NOT NULL DEFAULT false,
    CONSTRAINT one_piece_of_each_number UNIQUE (channel_id, from_whom, of_text, n),
    CONSTRAINT piece_is_one_of_them CHECK (n BETWEEN 1 AND n_of)
);
CREATE INDEX inbound_parts_by_time ON inbound_parts (came_at);
COMMENT ON TABLE inbound_parts IS 'Pieces of texts of which others have not come yet. They are put together when all are there, or after some minutes without the rest';
COMMENT ON COLUMN inbound_parts.joined IS 'Handed on with the others; it stays a day, so that one that is told again is known';
COMMENT ON COLUMN inbound_parts.of_text IS 'The provider''s name for the text; it comes again after some hundred texts';
