-- Some providers tell what became of a send by a reference of their own and not by the key we gave them. Which send
-- that is stands here from the moment they accepted it; what they tell before that moment has come through our own
-- books waits beside it. Both are small and short-lived: no column of deliveries is indexed for them.
CREATE TABLE provider_references (
    channel_id bigint      NOT NULL REFERENCES channels,
    reference  text        NOT NULL,
    send_key   text        NOT NULL,
    until      timestamptz NOT NULL,
    PRIMARY KEY (channel_id, reference)
);
CREATE INDEX provider_references_until ON provider_references (until);
COMMENT ON TABLE  provider_references IS 'Only of channels whose provider tells of its sends by reference';
COMMENT ON COLUMN provider_references.send_key IS 'run-seq-attempt of a delivery, or m and id-attempt of a message';
COMMENT ON COLUMN provider_references.until IS 'Nothing is told after this any more: then it is forgotten';

CREATE TABLE parked_receipts (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id bigint      NOT NULL REFERENCES channels,
    reference  text        NOT NULL,
    status     text        NOT NULL,
    code       text,
    until      timestamptz NOT NULL
);
CREATE INDEX parked_receipts_by_reference ON parked_receipts (channel_id, reference);
CREATE INDEX parked_receipts_until ON parked_receipts (until);
COMMENT ON TABLE  parked_receipts IS 'Receipts by a reference that nothing is known about yet';
COMMENT ON COLUMN parked_receipts.until IS 'If it is not known by then, it was never ours';
