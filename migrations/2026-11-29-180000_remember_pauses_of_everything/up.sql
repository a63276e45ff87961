-- A PAUSE of everything can be taken back, and only what it paused goes on then: each campaign
-- remembers it as long as nothing else becomes of its state.
CREATE TABLE pauses_of_everything (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    user_id bigint      REFERENCES users
);
COMMENT ON COLUMN pauses_of_everything.user_id IS 'NULL: somebody at the terminal';

ALTER TABLE campaigns
    ADD COLUMN paused_with_all bigint REFERENCES pauses_of_everything,
    ADD CONSTRAINT only_what_is_paused_was_paused_with_all CHECK (paused_with_all IS NULL OR state = 'paused');
COMMENT ON COLUMN campaigns.paused_with_all IS 'The PAUSE of everything that paused it; NULL once its state was written by anything else';

CREATE INDEX campaigns_paused_with_all ON campaigns (paused_with_all, id) WHERE paused_with_all IS NOT NULL;
