-- The words by which people opt out and back in, and what they are told. One row.
CREATE TABLE consent_rules (
    "only"     boolean     PRIMARY KEY DEFAULT true,
    rules      jsonb,
    updated_at timestamptz,
    updated_by bigint      REFERENCES users,

    CONSTRAINT there_is_one CHECK ("only")
);
COMMENT ON COLUMN consent_rules.rules IS 'See consent::domain::Rules; NULL while nobody has changed anything';
INSERT INTO consent_rules DEFAULT VALUES;

-- The proof: every change of consent, for ever.
CREATE TABLE consent_changes (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact_id bigint      NOT NULL,
    channel_id bigint      REFERENCES channels,
    at         timestamptz NOT NULL,
    change     text        NOT NULL,
    how        text        NOT NULL,
    words      text,
    message    text,
    answered   text,
    user_id    bigint      REFERENCES users,

    CONSTRAINT change_is_known CHECK (change IN ('out', 'in', 'doubted', 'kept')),
    CONSTRAINT how_is_known    CHECK (how IN ('keyword', 'agent', 'provider', 'words'))
);
COMMENT ON COLUMN consent_changes.words    IS 'What the contact wrote';
COMMENT ON COLUMN consent_changes.message  IS 'The provider''s name for that message';
COMMENT ON COLUMN consent_changes.answered IS 'What we answered';
CREATE INDEX consent_changes_of_contact ON consent_changes (contact_id, id);
CREATE INDEX consent_changes_by_time    ON consent_changes (at, id);

ALTER TABLE deliveries
    DROP CONSTRAINT outcome_is_known,
    ADD CONSTRAINT outcome_is_known CHECK (outcome IN (0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 14, 20, 21, 22, 23, 24, 25, 26, 27, 28));

ALTER TABLE contacts ADD COLUMN doubted_at timestamptz;
COMMENT ON COLUMN contacts.doubted_at IS 'Seems to have opted out in words of their own: no campaign writes to them until somebody has decided';
