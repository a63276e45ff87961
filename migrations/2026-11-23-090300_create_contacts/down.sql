DROP TABLE blocklist, contacts;
