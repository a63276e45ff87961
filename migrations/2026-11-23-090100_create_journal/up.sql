-- Who did what, when, from which state to which, and why. Written in the
-- transaction that did it, so an entry exists exactly when the thing happened.
CREATE TABLE journal (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    user_id     bigint      REFERENCES users,
    happened    text        NOT NULL,
    campaign_id bigint,
    subject_id  bigint      NOT NULL,
    was         text,
    became      text,
    why         text
);
COMMENT ON COLUMN journal.user_id     IS 'NULL when the clock did it';
COMMENT ON COLUMN journal.happened    IS 'Thing and verb, such as schedule.paused; subject_id is an id of that thing';
COMMENT ON COLUMN journal.campaign_id IS 'The campaign it belongs to, for its history page; NULL for users and channels';
CREATE INDEX journal_of_campaign ON journal (campaign_id, id DESC) WHERE campaign_id IS NOT NULL;
