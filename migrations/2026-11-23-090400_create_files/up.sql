-- A campaign file as it was uploaded, what we read in its head, how its columns
-- are mapped, and what came of importing it.
--
-- The upload itself is kept here in pieces, so that any process can import it
-- and an import that died starts over.
CREATE TABLE files (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text        NOT NULL,
    size_bytes     bigint      NOT NULL,
    sha256         bytea       NOT NULL,
    state          text        NOT NULL DEFAULT 'received',
    format         text        NOT NULL,
    encoding       text,
    delimiter      text,
    headers        jsonb       NOT NULL DEFAULT '[]',
    sample         jsonb       NOT NULL DEFAULT '[]',
    mapping        jsonb,
    kind           text        NOT NULL DEFAULT 'sms',
    region         text,
    bytes_done     bigint      NOT NULL DEFAULT 0,
    rows_done      bigint      NOT NULL DEFAULT 0,
    rows_good      bigint      NOT NULL DEFAULT 0,
    rows_bad       bigint      NOT NULL DEFAULT 0,
    rows_duplicate bigint      NOT NULL DEFAULT 0,
    missing        jsonb       NOT NULL DEFAULT '{}',
    refusal        text,
    cancelling     boolean     NOT NULL DEFAULT false,
    worker         uuid,
    lease_ends_at  timestamptz,
    uploaded_by    bigint      REFERENCES users,
    uploaded_at    timestamptz NOT NULL,
    finished_at    timestamptz,

    CONSTRAINT state_is_known         CHECK (state IN ('received', 'importing', 'imported', 'refused', 'cancelled')),
    CONSTRAINT format_is_known        CHECK (format IN ('csv', 'xls', 'xlsx')),
    CONSTRAINT kind_is_known          CHECK (kind IN ('sms', 'whatsapp', 'messenger', 'viber', 'webchat')),
    CONSTRAINT importing_has_mapping  CHECK (state NOT IN ('importing', 'imported') OR mapping IS NOT NULL),
    CONSTRAINT refused_has_refusal    CHECK ((state = 'refused') = (refusal IS NOT NULL)),
    CONSTRAINT finished_has_timestamp CHECK ((state IN ('imported', 'refused', 'cancelled')) = (finished_at IS NOT NULL))
);
COMMENT ON COLUMN files.headers       IS 'Array of the header row''s field names, in column order';
COMMENT ON COLUMN files.sample        IS 'Array of the first rows, each an array of texts, to show beside the mapping';
COMMENT ON COLUMN files.mapping       IS 'What each column is, in column order; see files::domain::Mapping';
COMMENT ON COLUMN files.kind          IS 'The kind of channel that the channel IDs in it are addresses on';
COMMENT ON COLUMN files.region        IS 'ISO 3166 country that numbers without a country code belong to; empty when all have theirs';
COMMENT ON COLUMN files.bytes_done    IS 'How far the reading has come, on the scale of size_bytes';
COMMENT ON COLUMN files.rows_done     IS 'Rows read so far, good or bad; moves while importing';
COMMENT ON COLUMN files.missing       IS 'Object of field name to the number of good rows that have nothing there';
COMMENT ON COLUMN files.refusal       IS 'Why nothing could be read, in words for the person who uploaded it';
COMMENT ON COLUMN files.lease_ends_at IS 'After this instant another process may start the import over';
CREATE INDEX files_to_import ON files (id) WHERE state = 'importing';

CREATE TABLE file_chunks (
    file_id bigint  NOT NULL REFERENCES files ON DELETE CASCADE,
    n       integer NOT NULL,
    bytes   bytea   NOT NULL,

    PRIMARY KEY (file_id, n)
);
ALTER TABLE file_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- The good rows: an audience, numbered from 1 without gaps, each address once.
--
-- No foreign keys: checking a million rows one by one takes twice as long as
-- writing them. One statement writes them, in the transaction that finishes the
-- file, with the contacts joined from their table; the trigger below deletes
-- them with their file.
CREATE TABLE file_rows (
    file_id     bigint  NOT NULL,
    seq         integer NOT NULL,
    line        bigint  NOT NULL,
    contact_id  bigint  NOT NULL,
    address     text    NOT NULL,
    customer_id text,
    "values"    jsonb   NOT NULL,

    PRIMARY KEY (file_id, seq)
);
COMMENT ON COLUMN file_rows.contact_id IS 'A row of contacts, which are not deleted';
COMMENT ON COLUMN file_rows.line     IS 'Row of the file as a spreadsheet shows it: the header is 1';
COMMENT ON COLUMN file_rows."values" IS 'Object of field name to text; fields that are empty in the row are left out';

CREATE FUNCTION delete_rows_of_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM file_rows WHERE file_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER delete_rows AFTER DELETE ON files FOR EACH ROW EXECUTE FUNCTION delete_rows_of_file();

CREATE TABLE file_problems (
    file_id bigint NOT NULL REFERENCES files ON DELETE CASCADE,
    line    bigint NOT NULL,
    field   text,
    value   text,
    code    text   NOT NULL,
    says    text   NOT NULL
);
COMMENT ON TABLE  file_problems       IS 'One per row that was not taken, or not taken as it stands';
COMMENT ON COLUMN file_problems.value IS 'What stood there, cut to 100 characters';
CREATE INDEX file_problems_of_file ON file_problems (file_id, line);
