-- In the databases of stories: whatever people decide is written down in the transaction that
-- changes it, or it is not changed. What a story does by hand goes by another name.
CREATE FUNCTION must_be_noted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') LIKE 'bugle%' AND NOT EXISTS (
        SELECT FROM (SELECT xmin FROM journal ORDER BY id DESC LIMIT 50) AS newest
        -- Seen, and not committed: it is ours.
        WHERE pg_xact_status(newest.xmin::text::xid8) = 'in progress'
    ) THEN
        RAISE EXCEPTION 'a row of % was changed (%), and nothing was written into the journal', TG_TABLE_NAME, TG_OP;
    END IF;
    RETURN NULL;
END $$;

-- Of each table: what happens to whole rows, and the columns that people decide about (NULL: all).
-- Of schedules, runs and files the clock changes the others; it notes what comes of it.
DO $$
DECLARE
    of record;
    was text;
    became text;
BEGIN
    FOR of IN SELECT * FROM (VALUES
        ('users', 'INSERT OR DELETE', '{email,name,role,disabled_at,password_hash,alerts}'::text[]),
        ('settings', 'INSERT OR DELETE', NULL),
        ('blackouts', 'INSERT OR DELETE', NULL),
        ('channels', 'INSERT OR DELETE', '{name,sender,per_minute,settings}'),
        ('blocklist', 'INSERT OR DELETE', NULL),
        ('consent_rules', 'INSERT OR DELETE', NULL),
        ('sandbox_rules', 'INSERT OR DELETE', NULL),
        ('files', 'INSERT OR DELETE', '{state}'),
        ('lists', 'INSERT OR DELETE', '{name,filter}'),
        ('bots', 'INSERT OR DELETE', NULL),
        ('bot_drafts', 'INSERT OR DELETE', NULL),
        ('bot_versions', 'INSERT OR DELETE', NULL),
        ('campaigns', 'INSERT OR DELETE', NULL),
        ('pauses_of_everything', 'INSERT OR DELETE', NULL),
        ('campaign_lists', 'INSERT OR DELETE', NULL),
        ('schedules', 'INSERT OR DELETE', '{name,channel_id,body,bot_id,bot_version,run_date,recurrence,start_time,end_time,rate,late_policy,group_value,rules,state}'),
        ('approvals', 'INSERT OR DELETE', NULL),
        ('launches_to_come', 'INSERT OR DELETE', NULL),
        ('daily_plans', 'INSERT OR DELETE', '{opens,closes,days,expected_name}'),
        ('drops', 'INSERT OR DELETE', '{state,dismissed_at}'),
        ('schedule_runs', 'DELETE', '{state,ends_at}')
    ) AS t (table_name, whole_rows, columns) LOOP
        EXECUTE format(
            'CREATE CONSTRAINT TRIGGER must_be_noted AFTER %s ON %I DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION must_be_noted()', of.whole_rows, of.table_name);
        SELECT string_agg(format('OLD.%I', c), ', '), string_agg(format('NEW.%I', c), ', ') INTO was, became
        FROM unnest(of.columns) AS c;
        EXECUTE format(
            'CREATE CONSTRAINT TRIGGER changes_must_be_noted AFTER UPDATE ON %I DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN ((%s) IS DISTINCT FROM (%s)) EXECUTE FUNCTION must_be_noted()',
            of.table_name, coalesce(was, 'OLD.*'), coalesce(became, 'NEW.*'));
    END LOOP;
END $$;
