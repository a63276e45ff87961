ALTER TABLE sandbox_messages ADD COLUMN written_by bigint;
COMMENT ON COLUMN sandbox_messages.written_by IS 'Who wrote it on the phone; no key of users, since the books may stand in another database. NULL: the phone by itself';
