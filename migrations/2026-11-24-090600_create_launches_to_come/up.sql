-- Drafts that somebody has sent off while their file was still being imported. A
-- tick launches them when it is through; a restart in between changes nothing.
CREATE TABLE launches_to_come (
    campaign_id bigint      PRIMARY KEY REFERENCES campaigns ON DELETE CASCADE,
    by          bigint      NOT NULL REFERENCES users,
    at          timestamptz NOT NULL
);
COMMENT ON TABLE  launches_to_come    IS 'Drafts that are launched by themselves as soon as their file is imported';
COMMENT ON COLUMN launches_to_come.by IS 'Who sent it off, and so who launches it';
COMMENT ON COLUMN launches_to_come.at IS 'When it was sent off';
