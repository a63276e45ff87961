-- The calendar's question: which runs start in this month, or go on into this day?
CREATE INDEX runs_by_start ON schedule_runs (starts_at) WHERE purpose = 'campaign';
