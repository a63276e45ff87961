-- What an import says about contacts of kind $1 that it did not add, where that
-- is news ($2: a field of it is known in another spelling): of each field the newest value stays, and so does the customer ID.
--
-- The rows are locked in the order in which they are added, so that two imports
-- that share contacts wait for one another instead of for each other. What a row
-- says is looked at again under its lock: another import may have changed it.
WITH news AS (
    SELECT c.id, r.customer_id, r."values"
    FROM (SELECT seq, address, customer_id, CASE WHEN $2 THEN spelled("values") ELSE "values" END AS "values"
          FROM import_rows) r
    JOIN contacts c ON c.kind = $1 AND c.address = r.address
    WHERE NOT EXISTS (SELECT FROM import_repeats p WHERE p.seq = r.seq)
      AND (NOT c."values" @> r."values" OR c.customer_id IS DISTINCT FROM coalesce(r.customer_id, c.customer_id))
    ORDER BY c.address COLLATE "C"
    FOR NO KEY UPDATE OF c
)
UPDATE contacts c
SET "values" = c."values" || news."values", customer_id = coalesce(news.customer_id, c.customer_id)
FROM news
WHERE c.id = news.id
