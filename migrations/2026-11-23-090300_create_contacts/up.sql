-- A contact is an address on a kind of channel. Never "a phone number": some
-- kinds have none.
CREATE TABLE contacts (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text        NOT NULL,
    address      text        NOT NULL,
    opted_out_at timestamptz,

    CONSTRAINT address_is_given        CHECK (address <> ''),
    CONSTRAINT one_contact_per_address UNIQUE (kind, address)
);
COMMENT ON COLUMN contacts.address      IS 'For phones: international digits, no plus, no leading zero';
COMMENT ON COLUMN contacts.opted_out_at IS 'No send begins after this instant, queued or not';

CREATE TABLE blocklist (
    kind     text        NOT NULL,
    address  text        NOT NULL,
    until    timestamptz,
    why      text,
    added_by bigint      REFERENCES users,
    added_at timestamptz NOT NULL,

    PRIMARY KEY (kind, address)
);
COMMENT ON COLUMN blocklist.until IS 'NULL: for ever';
