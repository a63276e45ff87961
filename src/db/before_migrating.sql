-- What stands in a database before anything of ours is written into it, and whether
-- what our migrations need can be had. What belongs to an extension is nobody's table,
-- and what belongs to a column (its sequence) goes with its table.
SELECT
    to_regclass('__diesel_schema_migrations') IS NOT NULL AS has_versions,
    ARRAY(
        SELECT c.relname::text
        FROM pg_class c
        WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema()))
          AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
          AND c.relname <> '__diesel_schema_migrations'
          AND NOT EXISTS (
              SELECT FROM pg_depend d
              WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'e', 'i'))
        ORDER BY c.relname
        LIMIT 3
    ) AS relations,
    EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') AS has_trigrams,
    EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') AS could_have_trigrams,
    has_database_privilege(current_database(), 'CREATE') AS may_add_extensions,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_add_tables,
    current_database()::text AS database,
    current_user::text AS role
