-- A workbook may have several sheets, and the contacts need not stand on the first. Which one was found, or
-- chosen by somebody, stands with the file, so that the import reads what the page showed.
ALTER TABLE files
    ADD COLUMN sheets jsonb    NOT NULL DEFAULT '[]',
    ADD COLUMN sheet  smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN files.sheets IS 'Names of the sheets that the workbook shows, as texts';
COMMENT ON COLUMN files.sheet  IS 'Which of them is read, counted from 0';
