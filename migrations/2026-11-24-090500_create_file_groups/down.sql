DROP TABLE file_groups;
