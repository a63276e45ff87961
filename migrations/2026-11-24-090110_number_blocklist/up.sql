-- Entries of the blocklist are linked to, paged through and named in the journal,
-- where no address may stand.
ALTER TABLE blocklist
    ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY,
    ADD CONSTRAINT one_blocklist_entry_per_id UNIQUE (id);

-- The search asks how an address begins.
CREATE INDEX blocklist_by_address ON blocklist (address text_pattern_ops);
