-- How a bot and an address have been answering one another, so that a bot falls silent for an address
-- at which a machine answers, whatever conversation, process or hour it comes in.
--
-- One row for each contact whom a bot has answered, written with the answer under the lock of the
-- contact. Without a foreign key to contacts, which are not deleted.
CREATE TABLE bot_rounds (
    contact_id   bigint      PRIMARY KEY,
    began_at     timestamptz NOT NULL,
    answers      integer     NOT NULL,
    fast         integer     NOT NULL,
    last_at      timestamptz NOT NULL,
    heard        bigint      NOT NULL,
    said         bigint      NOT NULL,
    same         integer     NOT NULL,
    silent_since timestamptz,
    silent_in    bigint      REFERENCES conversations,

    CONSTRAINT silence_has_its_conversation CHECK (silent_since IS NULL OR silent_in IS NOT NULL)
) WITH (fillfactor = 70);
COMMENT ON COLUMN bot_rounds.began_at     IS 'When the stretch began in which answers and fast are counted';
COMMENT ON COLUMN bot_rounds.answers      IS 'Messages of the contact that a bot has answered in that stretch';
COMMENT ON COLUMN bot_rounds.fast         IS 'Those of them that came sooner after the last answer than anybody types';
COMMENT ON COLUMN bot_rounds.last_at      IS 'Of the last message that a bot answered, or would have answered';
COMMENT ON COLUMN bot_rounds.heard        IS 'Fingerprint of what the contact wrote last, without its digits; see conversations::rounds';
COMMENT ON COLUMN bot_rounds.said         IS 'Fingerprint of what the bot answered to that';
COMMENT ON COLUMN bot_rounds.same         IS 'How often in a row the contact wrote and the bot answered that';
COMMENT ON COLUMN bot_rounds.silent_since IS 'When bots fell silent for this address; NULL: they answer';
COMMENT ON COLUMN bot_rounds.silent_in    IS 'The conversation in which they did';
