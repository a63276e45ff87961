-- What files and people said about a contact last. A campaign sends what stood
-- in its own file; lists, searches and recurring campaigns ask here.
ALTER TABLE contacts
    ADD COLUMN customer_id text,
    ADD COLUMN "values"    jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN contacts.customer_id IS 'As the newest file that had one said';
COMMENT ON COLUMN contacts."values"    IS 'Object of field name to text; of each field the newest that was not empty';

-- What the search asks: how an address or a customer ID begins. With the pattern
-- class, because in most collations the plain one cannot answer that.
CREATE INDEX contacts_by_address     ON contacts (kind, address text_pattern_ops);
CREATE INDEX contacts_by_customer_id ON contacts (lower(customer_id) text_pattern_ops, id) WHERE customer_id IS NOT NULL;
