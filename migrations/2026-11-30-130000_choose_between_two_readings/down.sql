ALTER TABLE files
    DROP COLUMN two_ways,
    DROP COLUMN rows_two_ways;
