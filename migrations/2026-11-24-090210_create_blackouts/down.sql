DROP TABLE blackouts;
