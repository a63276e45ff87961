ALTER TABLE contacts DROP COLUMN doubted_at;
DROP TABLE consent_changes;
DROP TABLE consent_rules;
ALTER TABLE deliveries
    DROP CONSTRAINT outcome_is_known,
    ADD CONSTRAINT outcome_is_known CHECK (outcome IN (0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 14, 20, 21, 22, 23, 24, 25, 26, 27)) NOT VALID;
