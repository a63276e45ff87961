DROP TABLE sign_in_failures, sessions, users;
