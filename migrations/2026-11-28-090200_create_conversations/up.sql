CREATE SEQUENCE conversation_news;

-- All messages with one contact on one channel, under one number.
--
-- Without a foreign key to contacts, which are not deleted.
CREATE TABLE conversations (
    id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id       bigint      NOT NULL REFERENCES channels,
    contact_id       bigint      NOT NULL,
    campaign_id      bigint      REFERENCES campaigns,
    schedule_id      bigint      REFERENCES schedules,
    began            text        NOT NULL,
    run_id           bigint,
    seq              integer,
    bot_id           bigint,
    bot_version      integer,
    handler          text        NOT NULL,
    memory           jsonb,
    wake_at          timestamptz,
    opened_at        timestamptz NOT NULL,
    last_at          timestamptz NOT NULL,
    unanswered_since timestamptz,
    closed_at        timestamptz,
    closed_because   text,
    fault            text,
    doubted          boolean     NOT NULL DEFAULT false,
    assigned_to      bigint      REFERENCES users,
    labels           text[]      NOT NULL DEFAULT '{}',
    changed          bigint      NOT NULL DEFAULT nextval('conversation_news'),

    CONSTRAINT began_is_known              CHECK (began IN ('outbound', 'inbound')),
    CONSTRAINT handler_is_known            CHECK (handler IN ('bot', 'human')),
    CONSTRAINT schedule_has_its_campaign   CHECK ((schedule_id IS NULL) = (campaign_id IS NULL)),
    CONSTRAINT bot_is_a_version            FOREIGN KEY (bot_id, bot_version) REFERENCES bot_versions (bot_id, n),
    CONSTRAINT bot_has_a_memory            CHECK (handler <> 'bot' OR (bot_id IS NOT NULL AND memory IS NOT NULL)),
    CONSTRAINT only_an_open_bot_wakes      CHECK (wake_at IS NULL OR (handler = 'bot' AND closed_at IS NULL)),
    CONSTRAINT closed_is_answered          CHECK (closed_at IS NULL OR unanswered_since IS NULL),
    CONSTRAINT one_conversation_per_delivery UNIQUE (run_id, seq)
) WITH (fillfactor = 70);
COMMENT ON COLUMN conversations.campaign_id      IS 'NULL: nobody''s, met by no campaign';
COMMENT ON COLUMN conversations.run_id           IS 'The delivery it began with, when a campaign wrote first';
COMMENT ON COLUMN conversations.handler          IS 'Who answers: the bot, or humans for good';
COMMENT ON COLUMN conversations.memory           IS 'The bot''s; see bots::turn::Memory';
COMMENT ON COLUMN conversations.wake_at          IS 'When the bot speaks up by itself if nobody wrote until then';
COMMENT ON COLUMN conversations.last_at          IS 'Of the last message in either direction: its validity counts from there';
COMMENT ON COLUMN conversations.unanswered_since IS 'Since when a human is waited for';
COMMENT ON COLUMN conversations.fault            IS 'Why its bot cannot go on';
COMMENT ON COLUMN conversations.doubted          IS 'The contact seems to have opted out in words of their own; somebody has to say';
COMMENT ON COLUMN conversations.changed          IS 'From conversation_news, anew at every change: pages ask for what is newer than what they show';

CREATE INDEX conversations_of_contact  ON conversations (contact_id, channel_id, id DESC);
CREATE INDEX conversations_by_news     ON conversations (changed);
CREATE INDEX conversations_waiting     ON conversations (unanswered_since, id) WHERE unanswered_since IS NOT NULL;
CREATE INDEX conversations_of_humans   ON conversations (last_at DESC, id DESC) WHERE handler = 'human' AND closed_at IS NULL;
CREATE INDEX conversations_of_bots     ON conversations (last_at DESC, id DESC) WHERE handler = 'bot' AND closed_at IS NULL;
CREATE INDEX conversations_closed      ON conversations (last_at DESC, id DESC) WHERE closed_at IS NOT NULL;
CREATE INDEX conversations_by_time     ON conversations (last_at DESC, id DESC);
CREATE INDEX conversations_of_assignee ON conversations (assigned_to, last_at DESC, id DESC) WHERE assigned_to IS NOT NULL AND closed_at IS NULL;
CREATE INDEX conversations_of_campaign ON conversations (campaign_id, id) WHERE campaign_id IS NOT NULL;
-- The sweep's question: whose bot is due to speak up, schedule by schedule?
CREATE INDEX conversations_to_wake ON conversations (schedule_id, wake_at, id) WHERE wake_at IS NOT NULL;

-- What was said, in the order of the numbers; and the outbox of everything but the
-- first messages of campaigns, which leave through their runs.
--
--   queued ──claim──▶ claimed ──settle──▶ settled     a receipt says more, upwards only
--     ▲──────── later ───┘
--
-- Of one conversation one message at a time is claimed, the oldest: people read them
-- in the order in which they were written.
CREATE TABLE messages (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id bigint      NOT NULL REFERENCES conversations,
    channel_id      bigint      NOT NULL,
    author          text        NOT NULL,
    user_id         bigint      REFERENCES users,
    body            text        NOT NULL,
    choices         jsonb,
    step            text,
    at              timestamptz NOT NULL,
    provider_id     text,
    run_id          bigint,
    seq             integer,
    purpose         text,
    schedule_id     bigint,
    state           text,
    due_at          timestamptz,
    attempt         smallint    NOT NULL DEFAULT 0,
    process         uuid,
    lease_ends_at   timestamptz,
    progress        smallint,
    outcome         smallint,
    detail          text,
    provider_ref    text,
    settled_at      timestamptz,

    CONSTRAINT author_is_known        CHECK (author IN ('contact', 'campaign', 'bot', 'agent', 'house')),
    CONSTRAINT taken_in_once          UNIQUE (channel_id, provider_id),
    CONSTRAINT contact_has_provider_id CHECK ((author = 'contact') = (provider_id IS NOT NULL)),
    CONSTRAINT campaign_has_delivery  CHECK ((author = 'campaign') = (run_id IS NOT NULL AND seq IS NOT NULL)),
    CONSTRAINT agent_has_a_name       CHECK ((author = 'agent') = (user_id IS NOT NULL)),
    CONSTRAINT purpose_is_known       CHECK (purpose IN ('answer', 'reengager', 'agent', 'notice')),
    CONSTRAINT ours_have_a_purpose    CHECK ((author IN ('bot', 'agent', 'house')) = (purpose IS NOT NULL)),
    CONSTRAINT ours_have_a_state      CHECK ((purpose IS NULL) = (state IS NULL)),
    CONSTRAINT state_is_known         CHECK (state IN ('queued', 'claimed', 'settled')),
    CONSTRAINT queued_is_due          CHECK (state <> 'queued' OR due_at IS NOT NULL),
    CONSTRAINT claimed_has_a_lease    CHECK ((state = 'claimed') = (process IS NOT NULL AND lease_ends_at IS NOT NULL)),
    CONSTRAINT settled_has_a_word     CHECK ((state = 'settled') = (settled_at IS NOT NULL AND (progress IS NOT NULL OR outcome IS NOT NULL)))
) WITH (fillfactor = 85);
COMMENT ON COLUMN messages.author      IS 'contact: they wrote it; campaign: the first message of a run, whose fate stands in deliveries; house: a notice such as the confirmation of an opt-out';
COMMENT ON COLUMN messages.provider_id IS 'The provider''s name for what a contact wrote: told again, it is the same message, for ever';
COMMENT ON COLUMN messages.choices     IS 'Answers that are offered as buttons where the channel has them';
COMMENT ON COLUMN messages.step        IS 'The step of the bot that said it';
COMMENT ON COLUMN messages.purpose     IS 'reengager: nobody asked for it, so it is held while its schedule is paused; notice: leaves even to those who opted out';
COMMENT ON COLUMN messages.schedule_id IS 'What governs it: nothing leaves when that is stopped. NULL for humans and notices';
COMMENT ON COLUMN messages.progress    IS 'As in deliveries; likewise outcome, detail, provider_ref and settled_at';
CREATE INDEX messages_of_conversation ON messages (conversation_id, id);
CREATE INDEX messages_open      ON messages (conversation_id, id) WHERE state IN ('queued', 'claimed');
CREATE INDEX messages_queued    ON messages (channel_id, id) WHERE state = 'queued';
CREATE INDEX messages_claimed   ON messages (lease_ends_at) WHERE state = 'claimed';
CREATE INDEX messages_reengaged ON messages (schedule_id, at) WHERE purpose = 'reengager';
CREATE INDEX messages_by_body   ON messages USING gin (body gin_trgm_ops);

-- A lease without a run: replies that took their share of a channel's limit.
ALTER TABLE leases
    ALTER COLUMN run_id DROP NOT NULL,
    ADD CONSTRAINT replies_have_settled CHECK (run_id IS NOT NULL OR (open = 0 AND channel_before IS NOT NULL));
COMMENT ON COLUMN leases.run_id IS 'NULL for replies, which only count against their channel''s limit here';
