ALTER TABLE files
    DROP COLUMN header_row,
    DROP COLUMN hidden_rows,
    DROP COLUMN takes_hidden;
