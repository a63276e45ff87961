-- A copy of a campaign, or one for its rest, may go to people whom the original has messaged. Before the launch
-- they are counted, so it is kept which campaign that was.
ALTER TABLE campaigns ADD COLUMN copied_from bigint REFERENCES campaigns ON DELETE SET NULL;
COMMENT ON COLUMN campaigns.copied_from IS 'The campaign that this one began as a copy of, or as one for those whom it did not reach';
