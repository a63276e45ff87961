-- How the sandbox's phones answer by themselves.
CREATE TABLE sandbox_rules (
    id      bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    place   integer          NOT NULL,
    pattern text             NOT NULL,
    replies text             NOT NULL,
    chance  double precision NOT NULL,
    after_s integer          NOT NULL,
    to_s    integer          NOT NULL,
    enabled boolean          NOT NULL,

    CONSTRAINT chance_is_a_share  CHECK (chance BETWEEN 0 AND 1),
    CONSTRAINT delay_goes_forward CHECK (0 <= after_s AND after_s <= to_s)
);
COMMENT ON COLUMN sandbox_rules.place   IS 'They are asked in this order';
COMMENT ON COLUMN sandbox_rules.pattern IS 'A regular expression over the text that arrived, in any case; empty: any text';
COMMENT ON COLUMN sandbox_rules.replies IS 'One in a line, of which one is drawn; empty: the phone stays silent';
