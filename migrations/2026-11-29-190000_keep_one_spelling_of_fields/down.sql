DROP FUNCTION spelled(jsonb);
DROP FUNCTION field_identity(text);
DROP TABLE contact_fields;
