DROP TABLE message_media;
DROP TABLE media_contents;
DROP TABLE media;
