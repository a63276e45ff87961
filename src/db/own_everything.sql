-- Give all that stands in this database to the role bugle. It belonged to the role that the
-- cluster belongs to in data of before; what extensions brought along stays with them.
-- Sequences of columns follow their table.
DO $$
DECLARE
    statement text;
    keeper oid := 'postgres'::regrole;
BEGIN
    FOR statement IN
        SELECT format('ALTER DATABASE %I OWNER TO bugle', datname)
        FROM pg_database WHERE datname = current_database() AND datdba = keeper
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO bugle', oid::regclass)
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relowner = keeper AND relkind IN ('r', 'p', 'v', 'm')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = pg_class.oid AND d.deptype = 'e')
        UNION ALL
        SELECT format('ALTER SEQUENCE %s OWNER TO bugle', oid::regclass)
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relowner = keeper AND relkind = 'S'
          AND NOT EXISTS (
              SELECT FROM pg_depend d
              WHERE d.classid = 'pg_class'::regclass AND d.objid = pg_class.oid AND d.deptype IN ('a', 'e', 'i'))
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO bugle', oid::regprocedure)
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proowner = keeper
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = pg_proc.oid AND d.deptype = 'e')
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO bugle', oid::regtype)
        FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typowner = keeper AND typtype IN ('e', 'd')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = pg_type.oid AND d.deptype = 'e')
    LOOP
        EXECUTE statement;
    END LOOP;
END $$
