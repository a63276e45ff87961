DELETE FROM leases WHERE run_id IS NULL;
ALTER TABLE leases DROP CONSTRAINT replies_have_settled, ALTER COLUMN run_id SET NOT NULL;
DROP TABLE messages;
DROP TABLE conversations;
DROP SEQUENCE conversation_news;
