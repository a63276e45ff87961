-- Launches that a person agreed to. A campaign that is changed has another
-- fingerprint, so what was agreed to before counts no more.
CREATE TABLE approvals (
    campaign_id bigint      NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    fingerprint text        NOT NULL,
    approved_by bigint      NOT NULL REFERENCES users,
    approved_at timestamptz NOT NULL,
    note        text,

    PRIMARY KEY (campaign_id, fingerprint, approved_by)
);
COMMENT ON COLUMN approvals.fingerprint IS 'Of everything that decides who gets what and when; see campaigns::fingerprint';
