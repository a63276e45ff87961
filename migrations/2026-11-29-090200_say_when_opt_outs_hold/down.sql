COMMENT ON COLUMN contacts.opted_out_at IS 'No send begins after this instant, queued or not';
COMMENT ON COLUMN contacts.doubted_at IS 'Seems to have opted out in words of their own: no campaign writes to them until somebody has decided';
