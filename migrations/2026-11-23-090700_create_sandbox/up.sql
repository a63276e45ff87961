-- The sandbox carrier's own books: what reached which phone, and which receipts
-- it still owes. Written by the carrier alone, in transactions of its own, so
-- that they can be held against the ledger.
CREATE TABLE sandbox_messages (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id bigint      NOT NULL,
    phone      text        NOT NULL,
    part       text        NOT NULL,
    body       text        NOT NULL,
    at         timestamptz NOT NULL,
    stamped_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN sandbox_messages.part       IS 'Our id of the send, as the adapter handed it over';
COMMENT ON COLUMN sandbox_messages.at         IS 'By the product''s clock';
COMMENT ON COLUMN sandbox_messages.stamped_at IS 'When the send reached the carrier, by the machine''s clock, whatever the product''s clock says';
CREATE INDEX sandbox_messages_of_phone ON sandbox_messages (phone, id);

CREATE TABLE sandbox_receipts (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id bigint      NOT NULL,
    part       text        NOT NULL,
    status     text        NOT NULL,
    due_at     timestamptz NOT NULL
);
CREATE INDEX sandbox_receipts_due ON sandbox_receipts (due_at, id);
