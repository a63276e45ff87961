-- What an installation decides once for all its campaigns.
CREATE TABLE settings (
    "only"         boolean     PRIMARY KEY DEFAULT true,
    quiet_from     time,
    quiet_to       time,
    jitter_minutes smallint    NOT NULL DEFAULT 0,
    cap_messages   integer,
    cap_days       smallint,
    approval_above integer,
    updated_at     timestamptz,
    updated_by     bigint      REFERENCES users,

    CONSTRAINT there_is_one                  CHECK ("only"),
    CONSTRAINT quiet_hours_have_both_ends    CHECK ((quiet_from IS NULL) = (quiet_to IS NULL)),
    CONSTRAINT quiet_hours_end_another_time  CHECK (quiet_from <> quiet_to),
    CONSTRAINT jitter_is_an_hour_at_most     CHECK (jitter_minutes BETWEEN 0 AND 60),
    CONSTRAINT cap_has_messages_and_days     CHECK ((cap_messages IS NULL) = (cap_days IS NULL)),
    CONSTRAINT cap_is_positive               CHECK (cap_messages > 0 AND cap_days > 0),
    CONSTRAINT cap_looks_back_90_days_at_most CHECK (cap_days <= 90),
    CONSTRAINT approval_above_is_a_count     CHECK (approval_above >= 0)
);
COMMENT ON COLUMN settings.quiet_from     IS 'From then on nothing is sent, by the clock of the campaign''s time zone; NULL for no quiet hours';
COMMENT ON COLUMN settings.quiet_to       IS 'Until then; before quiet_from it means the next day';
COMMENT ON COLUMN settings.jitter_minutes IS 'What was held goes on up to so much later, so that not everything starts at once';
COMMENT ON COLUMN settings.cap_messages   IS 'Most messages to one contact within cap_days; NULL for no limit';
COMMENT ON COLUMN settings.approval_above IS 'Launches to more contacts than this need the approval of a second person; 0 for every launch, NULL for none';
COMMENT ON COLUMN settings.updated_at     IS 'NULL while nobody has changed anything';

INSERT INTO settings DEFAULT VALUES;
