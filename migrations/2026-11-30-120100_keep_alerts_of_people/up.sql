-- How somebody wants to hear that a person waits for them, while a page of theirs is open.
ALTER TABLE users
    ADD COLUMN alerts text NOT NULL DEFAULT 'off',
    ADD CONSTRAINT alerts_are_known CHECK (alerts IN ('off', 'sound', 'notice', 'both'));
COMMENT ON COLUMN users.alerts IS 'What happens in the browser when one more waits in the inbox';
