-- A provider that the program does not know was taken for the sandbox, which delivers everything.
ALTER TABLE channels ADD CONSTRAINT provider_is_known CHECK (provider IN ('sandbox', 'webchat'));
