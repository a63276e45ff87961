ALTER TABLE schedules ADD COLUMN undecided boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN schedules.undecided IS 'It runs once, on a day that nobody has chosen yet; run_date is NULL then';
