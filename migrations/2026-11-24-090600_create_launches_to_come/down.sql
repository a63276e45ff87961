DROP TABLE launches_to_come;
