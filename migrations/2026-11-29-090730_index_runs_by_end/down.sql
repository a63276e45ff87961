DROP INDEX runs_by_end;
