DROP TABLE run_pauses;
