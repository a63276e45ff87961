DROP TABLE schedules, campaigns;
DROP FUNCTION keep_schedule_search, keep_campaign_search, campaigns_search_text;
