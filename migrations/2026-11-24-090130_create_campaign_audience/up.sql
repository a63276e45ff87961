-- The audience of a campaign as its lists stood at the launch. Without foreign
-- keys for the same reason as the rows of files; the trigger deletes them with
-- their campaign.
CREATE TABLE campaign_audience (
    campaign_id bigint NOT NULL,
    contact_id  bigint NOT NULL,

    PRIMARY KEY (campaign_id, contact_id)
);

CREATE FUNCTION delete_audience_of_campaign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM campaign_audience WHERE campaign_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER delete_audience AFTER DELETE ON campaigns FOR EACH ROW EXECUTE FUNCTION delete_audience_of_campaign();
