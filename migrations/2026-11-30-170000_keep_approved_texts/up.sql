-- Texts that a provider has approved, as it told them last, and what is filled into their places: by a schedule, pinned
-- by its runs, and by an agent for one message.
CREATE TABLE channel_templates (
    channel_id bigint NOT NULL REFERENCES channels,
    name       text   NOT NULL,
    language   text   NOT NULL,
    template   jsonb  NOT NULL,
    PRIMARY KEY (channel_id, name, language)
);
COMMENT ON COLUMN channel_templates.name     IS 'What the provider is asked for';
COMMENT ON COLUMN channel_templates.template IS 'wording::Approved: words, places, how it stands';

ALTER TABLE channels ADD COLUMN templates_at timestamptz, ADD COLUMN templates_error text;
COMMENT ON COLUMN channels.templates_at    IS 'When the approved texts were asked for last; NULL: they are to be asked for';
COMMENT ON COLUMN channels.templates_error IS 'Why they could not be read then';

ALTER TABLE schedules     ADD COLUMN template jsonb;
ALTER TABLE schedule_runs ADD COLUMN template jsonb;
ALTER TABLE messages      ADD COLUMN template jsonb;
COMMENT ON COLUMN schedules.template     IS 'wording::FilledTemplate: the approved text that it sends, or that its bot begins with';
COMMENT ON COLUMN schedule_runs.template IS 'The same as it was when the run was made';
COMMENT ON COLUMN messages.template      IS 'The same with its values, of a message that leaves as an approved text';

-- A view keeps the columns that its table had when it was made.
CREATE OR REPLACE VIEW real_runs AS SELECT * FROM schedule_runs WHERE purpose = 'campaign';
