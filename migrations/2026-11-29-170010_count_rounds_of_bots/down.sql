DROP TABLE bot_rounds;
