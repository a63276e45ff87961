DROP TABLE channel_incidents;
