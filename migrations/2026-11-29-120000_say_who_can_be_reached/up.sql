-- Who may be written to was asked in eight places, and two of them had forgotten those in doubt.
--
-- A function and not a view, because what is in force depends on the moment, which is told. It
-- is expanded into the statement that asks, so what it joins is found by its indexes.
CREATE FUNCTION reach(moment timestamptz)
RETURNS TABLE (
    contact_id bigint, kind text, address text, outcome smallint,
    opted_out_at timestamptz, doubted_at timestamptz,
    blocked_at timestamptz, blocked_by bigint, blocked_until timestamptz, blocked_why text
)
LANGUAGE sql STABLE AS $$
    SELECT c.id, c.kind, c.address,
           CASE WHEN b.address IS NOT NULL      THEN 10::smallint
                WHEN c.opted_out_at IS NOT NULL THEN 23::smallint
                WHEN c.doubted_at IS NOT NULL   THEN 28::smallint END,
           c.opted_out_at, c.doubted_at, b.added_at, b.added_by, b.until, b.why
    FROM contacts c
    LEFT JOIN blocklist b ON b.kind = c.kind AND b.address = c.address AND (b.until IS NULL OR b.until > moment)
$$;
COMMENT ON FUNCTION reach IS 'Every contact, and what becomes of a message to it at a moment: 10 blocklisted, 23 opted out, 28 consent in doubt, NULL where nothing bars it. Blocked: in force at that moment.';
