DROP TABLE reached_people;
ALTER TABLE channels DROP COLUMN new_people;
