-- What phones write stands in the same books, in one order with what reaches them.
ALTER TABLE sandbox_messages
    ALTER COLUMN part DROP NOT NULL,
    ADD COLUMN choices jsonb,
    ADD COLUMN untold  smallint NOT NULL DEFAULT 0,
    ADD CONSTRAINT only_what_was_written_is_told CHECK (untold = 0 OR (untold > 0 AND part IS NULL));
COMMENT ON COLUMN sandbox_messages.part    IS 'Our id of the send, as the adapter handed it over; NULL: the phone wrote it';
COMMENT ON COLUMN sandbox_messages.choices IS 'Answers that the message offers, an array of texts';
COMMENT ON COLUMN sandbox_messages.untold  IS 'How often the carrier has yet to report it through the webhook';
-- The question of the tick: what has to be reported?
CREATE INDEX sandbox_messages_untold ON sandbox_messages (id) WHERE untold > 0;

-- What phones will write by themselves.
CREATE TABLE sandbox_replies (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id bigint      NOT NULL,
    phone      text        NOT NULL,
    body       text        NOT NULL,
    due_at     timestamptz NOT NULL
);
CREATE INDEX sandbox_replies_due      ON sandbox_replies (due_at, id);
CREATE INDEX sandbox_replies_of_phone ON sandbox_replies (phone);
