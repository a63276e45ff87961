-- A test message to somebody's own phone is a run as well, so that it shows what a launch will
-- do; it counts for nothing. Whoever counts asks here, and cannot forget to leave it out.
CREATE VIEW real_runs AS SELECT * FROM schedule_runs WHERE purpose = 'campaign';
COMMENT ON VIEW real_runs IS 'Runs that campaigns make, without test messages.';
