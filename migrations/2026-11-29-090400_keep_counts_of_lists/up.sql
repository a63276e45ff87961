-- A filter over many contacts takes seconds to count, and many people look at lists: a count
-- is kept with its time instead of being made at each look.
ALTER TABLE lists
    ADD COLUMN counted bigint CONSTRAINT counted_is_no_debt CHECK (counted >= 0),
    ADD COLUMN counted_at timestamptz,
    ADD CONSTRAINT a_count_has_its_time CHECK ((counted IS NULL) = (counted_at IS NULL));
COMMENT ON COLUMN lists.counted IS 'Contacts that the filter had when it was counted last; none since it was changed';
COMMENT ON COLUMN lists.counted_at IS 'When that was';
