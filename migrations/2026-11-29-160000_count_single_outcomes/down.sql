DROP TABLE outcome_tallies;
