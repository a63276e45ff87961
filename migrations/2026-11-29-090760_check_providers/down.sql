ALTER TABLE channels DROP CONSTRAINT provider_is_known;
