COMMENT ON COLUMN sign_in_failures.peer IS 'Network address of the browser';
CREATE INDEX sign_in_failures_by_peer ON sign_in_failures (peer, at);
CREATE INDEX sign_in_failures_by_email ON sign_in_failures (email, at);
DROP INDEX sign_in_failures_by_email_and_peer;
ALTER TABLE sessions DROP COLUMN begun_at;
