DROP INDEX drops_of_file;
DROP INDEX schedule_runs_of_file;
DROP INDEX campaigns_of_file;
