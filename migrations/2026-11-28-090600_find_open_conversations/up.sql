-- The Campaigns screen's questions, every second: how many conversations of a campaign are
-- open, does a bot have one of them, and how many wait for a human?
CREATE INDEX conversations_open_of_campaign    ON conversations (campaign_id, handler) WHERE closed_at IS NULL;
CREATE INDEX conversations_waiting_of_campaign ON conversations (campaign_id) WHERE unanswered_since IS NOT NULL;
