-- How often each outcome of the groups "failed" and "skipped" stands in the ledger of a run,
-- kept as tallies are: changed in the transaction of the rows, spread over the same shards.
-- The other groups have one outcome each, so their tally says it.
CREATE TABLE outcome_tallies (
    run_id  bigint   NOT NULL REFERENCES schedule_runs ON DELETE CASCADE,
    shard   smallint NOT NULL,
    outcome smallint NOT NULL,
    n       bigint   NOT NULL,

    PRIMARY KEY (run_id, shard, outcome)
) WITH (fillfactor = 50);
COMMENT ON COLUMN outcome_tallies.outcome IS 'Code as in deliveries.outcome';
COMMENT ON COLUMN outcome_tallies.n IS 'May be negative in one shard; the sum over the shards is the count';

INSERT INTO outcome_tallies (run_id, shard, outcome, n)
SELECT run_id, 0, outcome, count(*) FROM deliveries WHERE outcome NOT IN (0, 9, 14, 20) GROUP BY run_id, outcome;
