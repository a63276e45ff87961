-- Pictures, documents, sounds and videos: what people of the house send, and what contacts sent, fetched from where their
-- providers keep it for a while. The octets stand beside what is known of them, so that lists never read them.
CREATE TABLE media (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key          uuid        NOT NULL UNIQUE,
    name         text        NOT NULL,
    content_type text        NOT NULL,
    size         bigint      NOT NULL CHECK (0 < size),
    is_public    boolean     NOT NULL,
    made_at      timestamptz NOT NULL,
    made_by      bigint      REFERENCES users
);
COMMENT ON COLUMN media.key          IS 'In its address. Nobody can guess it: providers fetch what is sent with no other proof';
COMMENT ON COLUMN media.content_type IS 'By its octets, whatever anybody said of them';
COMMENT ON COLUMN media.is_public    IS 'Whoever knows the address may fetch it: what is sent. What contacts sent is for people who are signed in';
COMMENT ON COLUMN media.made_by      IS 'NULL: a contact';

CREATE TABLE media_contents (
    media_id bigint PRIMARY KEY REFERENCES media ON DELETE CASCADE,
    octets   bytea  NOT NULL
);
-- Most of it is compressed as it is.
ALTER TABLE media_contents ALTER COLUMN octets SET STORAGE EXTERNAL;

-- What came with a message of a contact.
CREATE TABLE message_media (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id bigint      NOT NULL REFERENCES messages ON DELETE CASCADE,
    channel_id bigint      NOT NULL REFERENCES channels,
    heard      jsonb       NOT NULL,
    state      text        NOT NULL CHECK (state IN ('awaited', 'kept', 'refused', 'told')),
    media_id   bigint      REFERENCES media,
    tries      smallint    NOT NULL DEFAULT 0,
    due_at     timestamptz,
    why        text,
    CONSTRAINT kept_is_there CHECK ((state = 'kept') = (media_id IS NOT NULL)),
    CONSTRAINT awaited_is_due CHECK ((state = 'awaited') = (due_at IS NOT NULL))
);
CREATE INDEX message_media_message ON message_media (message_id, id);
CREATE INDEX message_media_awaited ON message_media (due_at) WHERE state = 'awaited';
COMMENT ON COLUMN message_media.heard IS 'As its provider told of it';
COMMENT ON COLUMN message_media.state IS 'told: there is nothing to fetch, such as of a place';
COMMENT ON COLUMN message_media.why   IS 'Why it could not be fetched, the last time';
