ALTER TABLE sandbox_messages DROP COLUMN written_by;
