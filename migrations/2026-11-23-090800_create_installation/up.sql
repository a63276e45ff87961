-- What every process of this installation must share.
CREATE TABLE installation (
    "only"     boolean     PRIMARY KEY DEFAULT true,
    cookie_key bytea       NOT NULL,
    seeded_at  timestamptz,

    CONSTRAINT there_is_one CHECK ("only")
);
COMMENT ON COLUMN installation.cookie_key IS 'Signs session cookies, in every process and after every restart';
COMMENT ON COLUMN installation.seeded_at  IS 'When the demo was written; it is written once';
