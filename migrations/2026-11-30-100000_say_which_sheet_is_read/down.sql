ALTER TABLE files
    DROP COLUMN sheets,
    DROP COLUMN sheet;
