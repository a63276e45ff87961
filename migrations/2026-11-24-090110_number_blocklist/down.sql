DROP INDEX blocklist_by_address;
ALTER TABLE blocklist DROP COLUMN id;
