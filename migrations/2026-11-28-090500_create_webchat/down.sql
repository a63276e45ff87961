DROP TABLE webchat_messages;
DROP TABLE webchat_visitors;
