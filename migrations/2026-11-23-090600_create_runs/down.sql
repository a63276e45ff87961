DROP TABLE tallies, retries, leases, deliveries, schedule_runs;
