DROP TRIGGER delete_audience ON campaigns;
DROP FUNCTION delete_audience_of_campaign;
DROP TABLE campaign_audience;
