-- A contact's whole history: every run it was in, and every file whose row with
-- this address was not taken. contact_id never changes, so settling stays a HOT update.
CREATE INDEX deliveries_of_contact ON deliveries (contact_id, run_id);
CREATE INDEX file_problems_of_address ON file_problems (value) WHERE code IN ('duplicate', 'invalid_address');
