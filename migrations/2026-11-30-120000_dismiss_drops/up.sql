-- What was refused need not stand there for the rest of the day, once it was read.
ALTER TABLE drops ADD COLUMN dismissed_at timestamptz;
COMMENT ON COLUMN drops.dismissed_at IS 'When somebody took the refusal off the list of the day; it stays in the journal';
