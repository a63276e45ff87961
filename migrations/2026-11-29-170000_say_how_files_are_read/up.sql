-- Which row names the columns is not always the first, and some rows of a workbook nobody sees. What
-- was found, or chosen by somebody, stands with the file, so that the import reads what the page showed.
ALTER TABLE files
    ADD COLUMN header_row   bigint  NOT NULL DEFAULT 1,
    ADD COLUMN hidden_rows  bigint  NOT NULL DEFAULT 0,
    ADD COLUMN takes_hidden boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN files.header_row   IS 'Row that names the columns, as a spreadsheet numbers it; the first one from there on that is not empty';
COMMENT ON COLUMN files.hidden_rows  IS 'Rows below it that the workbook hides or has filtered out, as far as they were counted at upload';
COMMENT ON COLUMN files.takes_hidden IS 'Whether those are taken as well';
