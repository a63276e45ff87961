DROP FUNCTION reach(timestamptz);
