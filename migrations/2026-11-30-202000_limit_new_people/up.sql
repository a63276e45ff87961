-- WhatsApp lets a business account begin with so many people within any 24 hours, over all of its numbers: whoever wrote
-- lately does not count, and neither does whoever was reached already.
ALTER TABLE channels ADD COLUMN new_people integer CONSTRAINT new_people_are_some CHECK (new_people > 0);
COMMENT ON COLUMN channels.new_people IS 'How many its account may begin with a day, as its provider told last; NULL: without a limit, or not told';

CREATE TABLE reached_people (
    account    text        NOT NULL,
    contact_id bigint      NOT NULL REFERENCES contacts ON DELETE CASCADE,
    at         timestamptz NOT NULL,
    PRIMARY KEY (account, contact_id)
);
CREATE INDEX reached_people_lately ON reached_people (account, at);
COMMENT ON TABLE reached_people IS 'Whom an account has written to who had not written lately';
COMMENT ON COLUMN reached_people.at IS 'When last';
