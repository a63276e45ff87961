-- Whoever opens a page is a visitor before anything is said. Those who never said a word, and to
-- whom nothing was said, are swept; this finds them, and holds nobody else.
CREATE INDEX webchat_visitors_silent ON webchat_visitors (seen_at) WHERE last_seq = 0;
