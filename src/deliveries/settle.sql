-- Write what became of claimed contacts, where nothing is known yet. A receipt
-- may have come before the provider's answer; it knows more and stays.
-- Returns which rows were written, so that the tallies count those and no others.
UPDATE deliveries d
SET progress = u.progress, outcome = u.outcome, attempt = u.attempt, detail = u.detail,
    provider_ref = u.provider_ref, settled_at = $8
FROM unnest($1::bigint[], $2::integer[], $3::smallint[], $4::smallint[], $5::smallint[], $6::text[], $7::text[])
     AS u (run_id, seq, progress, outcome, attempt, detail, provider_ref)
WHERE d.run_id = u.run_id AND d.seq = u.seq AND d.settled_at IS NULL
RETURNING d.run_id, d.progress, d.outcome
