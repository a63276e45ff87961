ALTER TABLE files
    ADD COLUMN encoding     text,
    ADD COLUMN delimiter    text,
    ADD COLUMN header_row   bigint  NOT NULL DEFAULT 1,
    ADD COLUMN hidden_rows  bigint  NOT NULL DEFAULT 0,
    ADD COLUMN takes_hidden boolean NOT NULL DEFAULT false;
UPDATE files SET
    encoding = reading ->> 'encoding', delimiter = reading ->> 'delimiter',
    header_row = coalesce((reading ->> 'header_row')::bigint, 1),
    hidden_rows = coalesce((reading ->> 'n_hidden')::bigint, 0),
    takes_hidden = coalesce((reading ->> 'takes_hidden')::boolean, false);
ALTER TABLE files DROP COLUMN reading;
