-- A list names contacts of one kind, for campaigns to include or exclude. Its
-- members are kept by hand, or they are whoever matches its filter when it is asked.
CREATE TABLE lists (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL,
    kind       text        NOT NULL,
    filter     jsonb,
    created_by bigint      REFERENCES users,
    created_at timestamptz NOT NULL,

    CONSTRAINT name_is_given CHECK (name <> ''),
    CONSTRAINT kind_is_known CHECK (kind IN ('sms', 'whatsapp', 'messenger', 'viber', 'webchat'))
);
COMMENT ON COLUMN lists.filter IS 'See lists::domain::Filter; NULL for a list whose members are in list_members';
CREATE UNIQUE INDEX one_list_per_name ON lists (lower(name));

-- No foreign key to contacts, which are not deleted: checking a million rows one
-- by one takes twice as long as writing them.
CREATE TABLE list_members (
    list_id    bigint      NOT NULL,
    contact_id bigint      NOT NULL,
    added_at   timestamptz NOT NULL,

    PRIMARY KEY (list_id, contact_id)
);
CREATE INDEX list_members_of_contact ON list_members (contact_id);

CREATE FUNCTION delete_members_of_list() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM list_members WHERE list_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER delete_members AFTER DELETE ON lists FOR EACH ROW EXECUTE FUNCTION delete_members_of_list();
