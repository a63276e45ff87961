DROP TABLE sandbox_replies;
DELETE FROM sandbox_messages WHERE part IS NULL;
ALTER TABLE sandbox_messages
    DROP CONSTRAINT only_what_was_written_is_told,
    DROP COLUMN untold,
    DROP COLUMN choices,
    ALTER COLUMN part SET NOT NULL;
