-- Rates and limits hold for sends as they begin, and only a recipient's own refusals
-- count as tries. For both a little more is kept than when a claim was made.
ALTER TABLE leases ADD COLUMN begun_at timestamptz;
COMMENT ON COLUMN leases.begun_at IS 'When the last of its settled sends was handed to the provider; NULL while none was. Those still open begin up to 1.2 s after taken_at';

ALTER TABLE retries ADD COLUMN refusals smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN retries.refusals IS 'How often the provider said "later" about this contact itself. What it says about the whole channel, and what did not begin in time, does not count';
COMMENT ON COLUMN retries.attempt  IS 'Number of the attempt to make; 1 when it was held before its first';

ALTER TABLE messages ADD COLUMN refusals smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN messages.refusals IS 'How often the provider said "later" about this message itself, see retries.refusals';

ALTER TABLE channels
    ADD COLUMN pace double precision,
    ADD COLUMN paced_at timestamptz,
    ADD CONSTRAINT pace_is_positive   CHECK (pace > 0),
    ADD CONSTRAINT pace_has_timestamp CHECK ((pace IS NULL) = (paced_at IS NULL));
COMMENT ON COLUMN channels.pace     IS 'Sends a minute that the provider took, at paced_at, when it said that it was too fast; it grows from there by itself, see pacing::Pace. NULL when it never did';
COMMENT ON COLUMN channels.paced_at IS 'When the pace was cut last';
