-- End the sessions that the server's process $1 waits for, and return who they were.
--
-- Not those that were asked to answer at once themselves: they are ending the same
-- blocker. Not one that waits for a standby: its COMMIT stands already. Only those
-- that this account may end; a word about the others is of no use.
SELECT a.pid, coalesce(a.application_name, '') AS name, coalesce(a.state, '') AS state
FROM pg_stat_activity a
WHERE a.pid = ANY (pg_blocking_pids($1))
  AND a.application_name IS DISTINCT FROM 'bugle vital'
  AND a.wait_event IS DISTINCT FROM 'SyncRep'
  AND pg_has_role(a.usesysid, 'MEMBER')
  AND pg_terminate_backend(a.pid)
