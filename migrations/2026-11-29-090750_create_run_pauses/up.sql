-- When a run stood still, so that its picture need not be put together from the journal,
-- which is for people.
CREATE TABLE run_pauses (
    run_id  bigint      NOT NULL REFERENCES schedule_runs ON DELETE CASCADE,
    from_at timestamptz NOT NULL,
    to_at   timestamptz,
    PRIMARY KEY (run_id, from_at)
);
COMMENT ON COLUMN run_pauses.to_at IS 'NULL while it goes on';
ALTER TABLE run_pauses ADD CONSTRAINT pauses_do_not_end_before_they_begin CHECK (from_at <= to_at);
CREATE UNIQUE INDEX one_pause_at_a_time ON run_pauses (run_id) WHERE to_at IS NULL;

-- What the journal knows of pauses so far. One that nothing ended goes on only if its run is paused.
INSERT INTO run_pauses (run_id, from_at, to_at)
SELECT DISTINCT ON (r.id, j.at) r.id, j.at,
       CASE WHEN least(next.at, r.ended_at) < j.at THEN j.at ELSE least(next.at, r.ended_at) END
FROM journal j
JOIN schedule_runs r ON r.schedule_id = j.subject_id AND r.campaign_id = j.campaign_id
LEFT JOIN LATERAL (
    SELECT n.at FROM journal n
    WHERE n.campaign_id = j.campaign_id AND n.subject_id = j.subject_id AND n.id > j.id
      AND n.happened IN ('schedule.paused', 'schedule.resumed', 'schedule.extended', 'schedule.stopped')
    ORDER BY n.id LIMIT 1
) next ON true
WHERE j.happened = 'schedule.paused'
  AND j.at >= coalesce(r.prepared_at, r.starts_at) AND (r.ended_at IS NULL OR j.at <= r.ended_at)
  AND (next.at IS NOT NULL OR r.ended_at IS NOT NULL OR r.paused_at IS NOT NULL)
ORDER BY r.id, j.at, j.id DESC;
