-- Sends that nobody answered for, through providers that can be asked what became of them. They are asked about a few
-- times, farther and farther apart; the answer is taken in as a receipt would be.
CREATE TABLE look_ups (
    channel_id bigint      NOT NULL REFERENCES channels,
    send_key   text        NOT NULL,
    address    text        NOT NULL,
    body       text,
    begun_at   timestamptz NOT NULL,
    tries      smallint    NOT NULL DEFAULT 0,
    due_at     timestamptz,
    until      timestamptz NOT NULL,
    PRIMARY KEY (channel_id, send_key)
);
CREATE INDEX look_ups_due ON look_ups (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX look_ups_until ON look_ups (until);
COMMENT ON COLUMN look_ups.body     IS 'What was said; NULL where only the process knew that died with it, until it is asked about';
COMMENT ON COLUMN look_ups.begun_at IS 'When it left, if it did';
COMMENT ON COLUMN look_ups.due_at   IS 'When it is asked about next; NULL: not any more';
COMMENT ON COLUMN look_ups.until    IS 'Kept until then: another send that says the same to the same person may be this one';
