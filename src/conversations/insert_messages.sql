-- Write messages in the order in which they stand in the array $1. What a contact wrote is written once, however
-- often its provider tells it: then fewer rows are written than were given.
INSERT INTO messages (conversation_id, channel_id, author, user_id, body, choices, step, at, run_id, seq, purpose,
                      schedule_id, state, due_at, outcome, detail, settled_at, provider_id, template)
SELECT m.conversation_id, m.channel_id, m.author, m.user_id, m.body, m.choices, m.step, m.at, m.run_id, m.seq, m.purpose,
       m.schedule_id, m.state, m.due_at, m.outcome, m.detail, m.settled_at, m.provider_id, m.template
FROM ROWS FROM (jsonb_to_recordset($1) AS (
         conversation_id bigint, channel_id bigint, author text, user_id bigint, body text, choices jsonb, step text,
         at timestamptz, run_id bigint, seq integer, purpose text, schedule_id bigint, state text, due_at timestamptz,
         outcome smallint, detail text, settled_at timestamptz, provider_id text,
         template jsonb
     )) WITH ORDINALITY AS m
ORDER BY m.ordinality
ON CONFLICT ON CONSTRAINT taken_in_once DO NOTHING
