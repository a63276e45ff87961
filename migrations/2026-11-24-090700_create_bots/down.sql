DROP TABLE bot_drafts, bot_versions, bots;
DROP FUNCTION refuse_change_of_bot_version;
