ALTER TABLE journal DROP CONSTRAINT one_actor, DROP CONSTRAINT nobody_is_known, DROP COLUMN nobody;
