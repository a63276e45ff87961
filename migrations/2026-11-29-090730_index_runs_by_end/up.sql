-- The first run that can count for a limit of messages in so many days.
CREATE INDEX runs_by_end ON schedule_runs (ended_at, id) WHERE ended_at IS NOT NULL;
