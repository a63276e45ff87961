-- Rows of the import whose address stands in an earlier row as well.
--
-- The million addresses are grouped by Postgres, which spills to disk when they
-- do not fit; a set of them here in the process would grow with the file.
CREATE TEMP TABLE import_repeats ON COMMIT DROP AS
SELECT r.seq, r.line, first.line AS first_line, r.address
FROM import_rows r
JOIN (
    SELECT address, min(line) AS line
    FROM import_rows
    GROUP BY address
    HAVING count(*) > 1
) first USING (address)
WHERE r.line <> first.line;
CREATE UNIQUE INDEX ON import_repeats (seq);
ANALYZE import_repeats
