DROP TABLE sandbox_receipts, sandbox_messages;
