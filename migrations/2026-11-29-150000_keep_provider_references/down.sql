DROP TABLE parked_receipts;
DROP TABLE provider_references;
