-- A workbook may have several sheets, and the contacts need not stand on the first. Which one was found, or
-- chosen by somebody, stands with the file, as do encoding, header row and what becomes of hidden rows: all of
-- it together says how the bytes are read, is written at once and never asked for in SQL, so it is one value.
ALTER TABLE files ADD COLUMN reading jsonb NOT NULL DEFAULT '{}';
UPDATE files SET reading = jsonb_build_object(
    'encoding', encoding, 'delimiter', delimiter, 'header_row', header_row, 'n_hidden', hidden_rows,
    'takes_hidden', takes_hidden);
ALTER TABLE files
    DROP COLUMN encoding,
    DROP COLUMN delimiter,
    DROP COLUMN header_row,
    DROP COLUMN hidden_rows,
    DROP COLUMN takes_hidden;
COMMENT ON COLUMN files.reading IS 'How its bytes are read; as files::store reads it';
