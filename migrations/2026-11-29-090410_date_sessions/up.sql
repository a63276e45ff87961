-- A session that is used never expires by idleness alone; this ends it all the same, so that
-- a screen which is left open for days, or a stolen cookie, is not for ever.
ALTER TABLE sessions ADD COLUMN begun_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN sessions.begun_at IS 'When its person signed in; a session has a greatest age, however much it is used';

-- Failures are looked up by both together: who guesses from one network slows down nobody elsewhere.
CREATE INDEX sign_in_failures_by_email_and_peer ON sign_in_failures (email, peer, at);
DROP INDEX sign_in_failures_by_email;
DROP INDEX sign_in_failures_by_peer;
COMMENT ON COLUMN sign_in_failures.peer IS 'Network address of the browser, or the browser itself when it is known';
