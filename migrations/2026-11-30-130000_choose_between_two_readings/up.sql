-- Some numbers are one person's with their country code and another's without. Nobody but a person can
-- tell; what they chose stands with the file, so that the import does as the page said.
ALTER TABLE files
    ADD COLUMN two_ways      text   NOT NULL DEFAULT 'leave_out'
        CONSTRAINT two_ways_is_a_choice CHECK (two_ways IN ('leave_out', 'inside', 'with_code')),
    ADD COLUMN rows_two_ways bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN files.two_ways      IS 'What is made of numbers that could be read in two ways: left out, read as dialled inside the country, or with their country code';
COMMENT ON COLUMN files.rows_two_ways IS 'Rows whose number could be read in two ways, whatever was made of them';
