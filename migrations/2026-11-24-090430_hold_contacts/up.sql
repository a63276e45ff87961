-- A lease may be for any contacts, not only for a range of them: those that were
-- held, or told "later", come round in any order and are taken many at a time.
ALTER TABLE leases ADD COLUMN seqs integer[];
COMMENT ON COLUMN leases.seqs    IS 'The contacts between lo and hi that it is for; NULL: all of them';
COMMENT ON COLUMN leases.attempt IS 'Counts tries at these contacts, from 1';

ALTER TABLE schedule_runs ADD COLUMN passed_over integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN schedule_runs.passed_over IS 'Contacts before next_seq that no claim took: left out, or held until later';
UPDATE schedule_runs r SET passed_over =
    (SELECT count(*) FROM deliveries d WHERE d.run_id = r.id AND d.outcome = 21)
WHERE r.served IS NOT NULL AND r.prepared_at IS NOT NULL;

-- The claim's question: what waits in this run and is due?
CREATE INDEX retries_due ON retries (run_id, due_at, seq);
