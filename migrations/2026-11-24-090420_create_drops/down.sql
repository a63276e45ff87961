DROP TABLE missed_days;
DROP TABLE drops;
