DROP INDEX runs_by_start;
