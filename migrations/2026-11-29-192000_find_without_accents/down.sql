DROP FUNCTION plain_text(text);
