DROP TABLE lost_runs;
DROP TABLE losses;
