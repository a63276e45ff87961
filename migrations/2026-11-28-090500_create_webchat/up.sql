-- Somebody who wrote into a web chat: known by a signed token in one browser, and to
-- the rest of the product as a contact with this address.
CREATE TABLE webchat_visitors (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id bigint      NOT NULL REFERENCES channels,
    address    text        NOT NULL,
    last_seq   bigint      NOT NULL DEFAULT 0,
    acked_seq  bigint      NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,

    CONSTRAINT one_visitor_per_address UNIQUE (address),
    CONSTRAINT acked_was_written       CHECK (acked_seq BETWEEN 0 AND last_seq)
) WITH (fillfactor = 70);
COMMENT ON COLUMN webchat_visitors.address   IS 'contacts.address of the kind webchat';
COMMENT ON COLUMN webchat_visitors.last_seq  IS 'Of the newest message; the next gets the one after it, under this row''s lock';
COMMENT ON COLUMN webchat_visitors.acked_seq IS 'The widget has shown every message up to here';
COMMENT ON COLUMN webchat_visitors.seen_at   IS 'When the widget last wrote or acknowledged';

-- What stands in a visitor's widget, in its order: both directions under one count,
-- without holes, so that a widget which comes back is given exactly what it missed.
CREATE TABLE webchat_messages (
    visitor_id bigint      NOT NULL REFERENCES webchat_visitors,
    seq        bigint      NOT NULL,
    direction  text        NOT NULL,
    part       text,
    client_id  text,
    body       text        NOT NULL,
    choices    jsonb       NOT NULL DEFAULT '[]',
    at         timestamptz NOT NULL,

    PRIMARY KEY (visitor_id, seq),
    CONSTRAINT direction_is_known  CHECK (direction IN ('out', 'in')),
    CONSTRAINT out_has_a_part      CHECK ((direction = 'out') = (part IS NOT NULL)),
    CONSTRAINT in_has_a_client_id  CHECK ((direction = 'in') = (client_id IS NOT NULL)),
    CONSTRAINT part_entered_once   UNIQUE (part),
    CONSTRAINT client_id_used_once UNIQUE (visitor_id, client_id)
);
COMMENT ON COLUMN webchat_messages.part      IS 'Our id of the send';
COMMENT ON COLUMN webchat_messages.client_id IS 'The widget''s name for what was typed: told again, it is the same message';
COMMENT ON COLUMN webchat_messages.choices   IS 'Answers offered as buttons';
