-- What was claimed in the moment before an opt-out may still begin after its instant; it is
-- acknowledged, and shown, only when nothing can.
COMMENT ON COLUMN contacts.opted_out_at IS
    'When we learnt of it. Nothing claimed after its commit leaves, and whoever acknowledges or shows it waits until nothing claimed before can begin';
COMMENT ON COLUMN contacts.doubted_at IS
    'Seems to have opted out in words of their own: no campaign writes to them until somebody has decided. Acknowledged and shown as an opt-out is';
