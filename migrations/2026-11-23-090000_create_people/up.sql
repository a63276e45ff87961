-- The people who may sign in, and their sessions. A session lives here and not
-- in the cookie, so that signing out and disabling a person hold at once.
CREATE TABLE users (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email         text        NOT NULL,
    name          text        NOT NULL,
    role          text        NOT NULL DEFAULT 'admin',
    password_hash text        NOT NULL,
    disabled_at   timestamptz,
    created_at    timestamptz NOT NULL,

    CONSTRAINT email_is_lower_case CHECK (email = lower(email) AND email <> ''),
    CONSTRAINT name_is_given       CHECK (name <> ''),
    CONSTRAINT role_is_known       CHECK (role IN ('viewer', 'operator', 'manager', 'admin')),
    CONSTRAINT one_user_per_email  UNIQUE (email)
);
COMMENT ON COLUMN users.password_hash IS 'argon2id, in PHC string form';
COMMENT ON COLUMN users.disabled_at   IS 'From this instant nobody signs in as them and their sessions are void';

CREATE TABLE sessions (
    key_hash   bytea       PRIMARY KEY,
    user_id    bigint      REFERENCES users ON DELETE CASCADE,
    state      jsonb       NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON COLUMN sessions.key_hash IS 'SHA-256 of the session key; the key itself is only in the cookie';
COMMENT ON COLUMN sessions.user_id  IS 'Who is signed in; NULL before signing in';
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_expired ON sessions (expires_at);

-- Failed attempts are counted by what was typed, whether or not such a user
-- exists, so that a suspension tells a stranger nothing.
CREATE TABLE sign_in_failures (
    id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text        NOT NULL,
    peer  text        NOT NULL,
    at    timestamptz NOT NULL
);
COMMENT ON COLUMN sign_in_failures.email IS 'As typed, in lower case; may belong to nobody';
COMMENT ON COLUMN sign_in_failures.peer  IS 'Network address of the browser';
CREATE INDEX sign_in_failures_by_email ON sign_in_failures (email, at);
CREATE INDEX sign_in_failures_by_peer  ON sign_in_failures (peer, at);
