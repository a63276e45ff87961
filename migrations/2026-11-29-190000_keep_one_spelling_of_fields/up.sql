-- One field has one identity, whatever the case, blanks and Unicode form in which files write it: contacts keep
-- their values under the spelling that came first. Files and runs keep their own columns as they stand.
CREATE TABLE contact_fields (
    identity text PRIMARY KEY,
    name     text NOT NULL
);
COMMENT ON TABLE contact_fields IS 'How the fields of contacts are spelled';
COMMENT ON COLUMN contact_fields.identity IS 'field_identity() of every spelling of it';
COMMENT ON COLUMN contact_fields.name IS 'The spelling under which contacts.values has it';

CREATE FUNCTION field_identity(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT lower(normalize(regexp_replace(btrim(name), '\s+', ' ', 'g'), NFC))
$$;

-- Values of a contact with each field under its one spelling.
CREATE FUNCTION spelled(fields jsonb) RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(jsonb_object_agg(coalesce(f.name, e.key), e.value), '{}')
    FROM jsonb_each(fields) e
    LEFT JOIN contact_fields f ON f.identity = field_identity(e.key)
$$;

-- The commonest spelling so far wins. A contact that has a field under two spellings keeps both: which value
-- is the newer one, nobody knows.
INSERT INTO contact_fields (identity, name)
SELECT DISTINCT ON (field_identity(k)) field_identity(k), k
FROM (SELECT k, count(*) AS n FROM contacts, jsonb_object_keys("values") k GROUP BY k) keys
ORDER BY field_identity(k), n DESC, k;

UPDATE contacts c
SET "values" = (
    SELECT jsonb_object_agg(CASE WHEN jsonb_exists(c."values", f.name) THEN e.key ELSE f.name END, e.value)
    FROM jsonb_each(c."values") e
    JOIN contact_fields f ON f.identity = field_identity(e.key)
)
WHERE EXISTS (
    SELECT FROM jsonb_object_keys(c."values") k WHERE NOT EXISTS (SELECT FROM contact_fields f WHERE f.name = k)
);
