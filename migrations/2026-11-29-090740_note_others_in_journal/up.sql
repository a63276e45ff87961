-- Tell what was done from the command line, or by strangers, from what the clock did.
ALTER TABLE journal ADD COLUMN nobody text;
COMMENT ON COLUMN journal.nobody IS 'Who did it without being a person who signed in: the command line (shell) or somebody unknown (stranger). With this and user_id NULL the clock did it';
ALTER TABLE journal ADD CONSTRAINT nobody_is_known CHECK (nobody IN ('shell', 'stranger'));
ALTER TABLE journal ADD CONSTRAINT one_actor CHECK (user_id IS NULL OR nobody IS NULL);
