UPDATE schedules SET run_date = current_date WHERE undecided;
ALTER TABLE schedules DROP COLUMN undecided;
