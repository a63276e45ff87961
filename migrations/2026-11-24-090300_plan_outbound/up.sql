-- Schedules that run more than once, serve one group of a file, or find their own
-- rate; runs that pin how they were meant; audiences that are lists.

ALTER TABLE campaigns
    DROP CONSTRAINT kind_is_known,
    DROP CONSTRAINT launched_has_file,
    ADD COLUMN group_by         text,
    ADD COLUMN "freeze"         text    NOT NULL DEFAULT 'start',
    ADD COLUMN quiet            text    NOT NULL DEFAULT 'inherit',
    ADD COLUMN quiet_from       time,
    ADD COLUMN quiet_to         time,
    ADD COLUMN blackouts_apply  boolean NOT NULL DEFAULT true,
    ADD COLUMN start_key        text,
    ADD CONSTRAINT kind_is_known            CHECK (kind IN ('once_off', 'daily', 'recurring', 'quick')),
    ADD CONSTRAINT freeze_is_known          CHECK ("freeze" IN ('launch', 'start')),
    ADD CONSTRAINT quiet_is_known           CHECK (quiet IN ('inherit', 'none', 'own')),
    ADD CONSTRAINT own_quiet_has_times      CHECK ((quiet = 'own') = (quiet_from IS NOT NULL AND quiet_to IS NOT NULL)),
    ADD CONSTRAINT launched_has_file        CHECK (state = 'draft' OR kind <> 'daily' OR file_id IS NOT NULL),
    ADD CONSTRAINT one_campaign_per_start_key UNIQUE (start_key);
COMMENT ON COLUMN campaigns.file_id   IS 'Its contacts; for a daily campaign the file whose structure the daily files must have. NULL when its contacts are lists';
COMMENT ON COLUMN campaigns.group_by  IS 'Field whose value says which schedule serves a row; NULL: every schedule serves every row';
COMMENT ON COLUMN campaigns."freeze"  IS 'When lists become an audience: launch, the same people in every run; start, whoever is on them as a run is readied';
COMMENT ON COLUMN campaigns.quiet     IS 'Its quiet hours: inherit the installation''s, none, or own ones';
COMMENT ON COLUMN campaigns.start_key IS 'Given by whoever started it: asked for again with the same key, the same campaign is the answer';

-- Lists whose members a campaign goes to, and lists whose members it leaves out.
CREATE TABLE campaign_lists (
    campaign_id bigint NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    list_id     bigint NOT NULL REFERENCES lists,
    role        text   NOT NULL,

    PRIMARY KEY (campaign_id, list_id),
    CONSTRAINT role_is_known CHECK (role IN ('include', 'exclude'))
);
CREATE INDEX campaigns_of_list ON campaign_lists (list_id);

ALTER TABLE schedules
    ALTER COLUMN run_date DROP NOT NULL,
    ALTER COLUMN rate DROP NOT NULL,
    ADD COLUMN recurrence  jsonb,
    ADD COLUMN next_run_at timestamptz,
    ADD COLUMN group_value text,
    ADD COLUMN rules       jsonb NOT NULL DEFAULT '{}',
    ADD CONSTRAINT once_or_recurring        CHECK (run_date IS NULL OR recurrence IS NULL),
    ADD CONSTRAINT recurring_has_next_run   CHECK (next_run_at IS NULL OR recurrence IS NOT NULL);
COMMENT ON COLUMN schedules.run_date    IS 'Day on which it runs, in the campaign''s time zone; NULL for one that recurs or runs whenever a daily file comes';
COMMENT ON COLUMN schedules.recurrence  IS 'See schedules::domain::Recurrence; NULL for one that does not recur';
COMMENT ON COLUMN schedules.next_run_at IS 'When the planner makes its next run; NULL before the launch, after the last date, and for what does not recur';
COMMENT ON COLUMN schedules.rate        IS 'Messages a minute; NULL: as fast as its window and its contacts ask for';
COMMENT ON COLUMN schedules.group_value IS 'Serves the rows whose group field has this value, whatever its case and the blanks around it';
COMMENT ON COLUMN schedules.rules       IS 'See runs::domain::Rules';
-- The planner's question: what recurs and is due?
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE state = 'active' AND next_run_at IS NOT NULL;

ALTER TABLE schedule_runs
    ALTER COLUMN file_id DROP NOT NULL,
    DROP CONSTRAINT one_run_per_date,
    ADD COLUMN purpose          text    NOT NULL DEFAULT 'campaign',
    ADD COLUMN auto_rate        boolean NOT NULL DEFAULT false,
    ADD COLUMN rules            jsonb   NOT NULL DEFAULT '{}',
    ADD COLUMN fields           jsonb   NOT NULL DEFAULT '[]',
    ADD COLUMN group_by         text,
    ADD COLUMN group_value      text,
    ADD COLUMN served           text[],
    ADD COLUMN canary_passed_at timestamptz,
    ADD CONSTRAINT purpose_is_known     CHECK (purpose IN ('campaign', 'test')),
    ADD CONSTRAINT group_has_a_field    CHECK (group_by IS NOT NULL OR (group_value IS NULL AND served IS NULL));
COMMENT ON COLUMN schedule_runs.purpose          IS 'test: one message to somebody''s own phone before the launch; it counts for nothing else';
COMMENT ON COLUMN schedule_runs.auto_rate        IS 'The rate was or will be found when it starts';
COMMENT ON COLUMN schedule_runs.rules            IS 'The schedule''s, as they were when the run was made; see runs::domain::Rules';
COMMENT ON COLUMN schedule_runs.fields           IS 'Names that its text may use, found when its contacts were written';
COMMENT ON COLUMN schedule_runs.group_value      IS 'Only rows whose field group_by has this value';
COMMENT ON COLUMN schedule_runs.served           IS 'Set on one of several runs of a file: it also keeps the rows of no group, those with none of these values';
COMMENT ON COLUMN schedule_runs.canary_passed_at IS 'When its first contacts turned out well, or somebody let it go on all the same';
UPDATE schedule_runs r SET fields = f.headers FROM files f WHERE f.id = r.file_id AND r.prepared_at IS NOT NULL;
CREATE UNIQUE INDEX one_run_per_start ON schedule_runs (schedule_id, starts_at) WHERE purpose = 'campaign';
-- The screen asks for the newest run of each schedule.
CREATE INDEX runs_of_schedule ON schedule_runs (schedule_id, starts_at DESC) WHERE purpose = 'campaign';

ALTER TABLE deliveries
    DROP CONSTRAINT outcome_is_known,
    ADD CONSTRAINT outcome_is_known CHECK (outcome IN (0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 14, 20, 21, 22, 23, 24, 25, 26, 27));
COMMENT ON COLUMN retries.attempt IS 'Number of the attempt to make: 2 or more after a "later", 1 for one that was held before it was ever tried';

-- Contacts whose turn in a run has not come and shall not: somebody put another
-- run or file in their place. Asked by the claim, so that the row stays as it is
-- until then.
CREATE TABLE replacements (
    run_id bigint  NOT NULL,
    seq    integer NOT NULL,
    why    text    NOT NULL,
    at     timestamptz NOT NULL,

    PRIMARY KEY (run_id, seq),
    FOREIGN KEY (run_id, seq) REFERENCES deliveries (run_id, seq) ON DELETE CASCADE
);
