-- Where each of the campaigns $1 stands in the list, sorted by $2 ('usual', 'name', 'start', 'progress',
-- 'end'; backwards if $3) at the time $4: the $9 that follow the place $5 to $8, or the first of them.
--
-- Now is what runs, stands still or waits for today's file; next, what starts by itself; then drafts;
-- done is what has ended. What is found is sorted anew by each page, so a page asks what lies behind
-- the values of the last row before it, and not behind a row that may have moved meanwhile.
WITH open AS (
    SELECT r.campaign_id, bool_or(r.state = 'running') AS runs, min(r.starts_at) AS starts, max(r.ends_at) AS ends,
           min(r.starts_at) FILTER (WHERE r.state = 'waiting') AS waits
    FROM real_runs r WHERE r.state IN ('waiting', 'running', 'paused') GROUP BY r.campaign_id
), coming AS (
    SELECT s.campaign_id, bool_or(s.state = 'active') AS goes_on, bool_or(s.inbound) AS inbound,
           min(s.next_run_at) FILTER (WHERE s.state = 'active') AS next
    FROM schedules s JOIN campaigns c ON c.id = s.campaign_id AND c.state IN ('active', 'paused')
    WHERE s.inbound OR s.next_run_at IS NOT NULL OR (s.run_date IS NULL AND s.recurrence IS NULL AND NOT s.undecided)
    GROUP BY s.campaign_id
), shown AS (
    -- The runs whose contacts a row counts.
    SELECT r.id, r.campaign_id, r.last_seq, r."group" IS NOT NULL AS is_grouped
    FROM schedules s
    CROSS JOIN LATERAL (SELECT id, campaign_id, last_seq, "group" FROM real_runs
                        WHERE schedule_id = s.id ORDER BY starts_at DESC LIMIT 1) r
    WHERE $2 = 'progress' AND s.campaign_id = ANY ($1)
    UNION
    SELECT r.id, r.campaign_id, r.last_seq, r."group" IS NOT NULL FROM real_runs r
    WHERE $2 = 'progress' AND r.state IN ('waiting', 'running', 'paused')
), progress AS (
    SELECT r.campaign_id,
           (coalesce(sum(t.settled), 0) - sum(o.no_group)) / nullif(sum(r.last_seq) - sum(o.no_group), 0) AS part
    FROM shown r
    LEFT JOIN LATERAL (SELECT sum(accepted + delivered + failed + skipped + unconfirmed) AS settled
                       FROM tallies WHERE run_id = r.id) t ON true
    CROSS JOIN LATERAL (SELECT coalesce(sum(n), 0) AS no_group FROM outcome_tallies
                        WHERE r.is_grouped AND run_id = r.id AND outcome = 21) o
    GROUP BY r.campaign_id
), facts AS (
    SELECT c.id, lower(c.name) AS name, c.created_at, c.launched_at,
           coalesce(open.starts, coming.next, c.launched_at) AS starts,
           coalesce(c.ended_at, open.ends) AS ends, progress.part,
           CASE
               WHEN c.state = 'draft' THEN 'drafts'
               WHEN c.state = 'paused' THEN 'now'
               WHEN c.state <> 'active' THEN 'done'
               WHEN open.runs THEN 'now'
               WHEN open.waits IS NOT NULL THEN 'next'
               WHEN open.starts IS NOT NULL THEN 'now'
               WHEN coming.goes_on IS NULL THEN
                   CASE WHEN EXISTS (SELECT FROM conversations v WHERE v.campaign_id = c.id AND v.handler = 'bot'
                                     AND v.closed_at IS NULL) THEN 'now' ELSE 'done' END
               WHEN coming.inbound OR NOT coming.goes_on THEN 'now'
               WHEN coming.next IS NOT NULL THEN 'next'
               -- A file has to come first. It is waited for on the days that the plan names, once a day.
               WHEN (p.days >> (extract(isodow FROM today.is)::int - 1)) & 1 = 0
                    OR EXISTS (SELECT FROM real_runs r WHERE r.campaign_id = c.id AND r.run_date = today.is) THEN 'next'
               ELSE 'now'
           END AS stands
    FROM campaigns c
    CROSS JOIN LATERAL (SELECT ($4 AT TIME ZONE c.time_zone)::date AS is) today
    LEFT JOIN open     ON open.campaign_id     = c.id
    LEFT JOIN coming   ON coming.campaign_id   = c.id
    LEFT JOIN progress ON progress.campaign_id = c.id
    LEFT JOIN daily_plans p ON p.campaign_id   = c.id
    WHERE c.id = ANY ($1)
), keyed AS (
    SELECT f.id, f.stands, array_position('{now,next,drafts,done}', f.stands) AS place,
           CASE WHEN $2 = 'name' THEN f.name ELSE '' END AS name,
           -- What has no such figure comes last, whichever way round.
           coalesce(CASE WHEN $3 THEN -1 ELSE 1 END * CASE $2
               WHEN 'name' THEN 0
               WHEN 'start' THEN extract(epoch FROM f.starts)::float8
               WHEN 'end' THEN extract(epoch FROM f.ends)::float8
               WHEN 'progress' THEN f.part::float8
               ELSE CASE f.stands
                   WHEN 'next' THEN coalesce(extract(epoch FROM f.starts)::float8, 'Infinity')
                   WHEN 'done' THEN -extract(epoch FROM coalesce(f.ends, f.launched_at, f.created_at))::float8
                   ELSE -extract(epoch FROM coalesce(f.launched_at, f.created_at))::float8
               END
           END, 'Infinity') AS figure
    FROM facts f
), counted AS (
    SELECT *, count(*) OVER (PARTITION BY place) AS n_in_group FROM keyed
)
SELECT id, stands, name, figure, n_in_group
FROM counted
WHERE $5 IS NULL
   OR place > array_position('{now,next,drafts,done}', $5)
   OR (place = array_position('{now,next,drafts,done}', $5)
       AND (figure > $6 OR (figure = $6
            AND ((name > $7 AND NOT $3) OR (name < $7 AND $3) OR (name = $7 AND id < $8)))))
ORDER BY place, figure, CASE WHEN NOT $3 THEN name END, CASE WHEN $3 THEN name END DESC, id DESC
LIMIT $9
