DROP INDEX contacts_by_customer_id, contacts_by_address;
ALTER TABLE contacts DROP COLUMN "values", DROP COLUMN customer_id;
