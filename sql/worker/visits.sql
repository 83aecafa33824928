-- The background worker: what is known about it, and asking for it.

CREATE FUNCTION audit.worker_state(
    OUT naptime integer, OUT is_launched boolean, OUT is_under_way boolean, OUT slot_missing_since timestamptz, OUT slot_misses bigint,
    OUT visited_at timestamptz, OUT outcome text, OUT failures bigint, OUT error text)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_worker_state';
COMMENT ON FUNCTION audit.worker_state() IS
    'What the launcher and its visits to this database are at; null where the library is not preloaded; internal';

-- For status(), with whose rights it sees what kind of process a session is.
CREATE FUNCTION audit.worker_status(OUT words text, OUT visited_at timestamptz, OUT error text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state record;
BEGIN
    SELECT * INTO state FROM audit.worker_state();
    visited_at := state.visited_at;
    error := state.error;
    words := CASE
        WHEN state.is_under_way
          OR EXISTS (SELECT FROM pg_stat_activity a WHERE a.backend_type = 'audit maintenance' AND a.datname = current_database())
            THEN 'running'
        WHEN state.is_launched IS NULL THEN 'not preloaded: started on demand only, call audit.maintain()'
        WHEN pg_is_in_recovery() THEN 'waits for the end of recovery'
        WHEN NOT state.is_launched
            THEN 'not running: the launcher has not started, which takes some seconds and one of max_worker_processes'
        WHEN state.slot_missing_since IS NOT NULL
            THEN format('no free worker slot since %s (%s times)', date_trunc('second', state.slot_missing_since), state.slot_misses)
        WHEN state.failures > 0
            THEN format('failed in this database at %s (%s times): %s', date_trunc('second', state.visited_at), state.failures, state.error)
        WHEN EXISTS (SELECT FROM pg_database d WHERE d.datname = current_database() AND (d.datistemplate OR NOT d.datallowconn))
            THEN 'never visits a template or a database that takes no connections'
        WHEN state.visited_at IS NULL THEN format('visits every %s s, has not been here yet', state.naptime)
        ELSE format('visits every %s s, last %s (%s)', state.naptime, date_trunc('second', state.visited_at), state.outcome)
    END;
END;
$$;
COMMENT ON FUNCTION audit.worker_status() IS 'The background worker in words, its last visit to this database and the error that ended it; internal';

CREATE FUNCTION audit.request_run() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_request_run';
COMMENT ON FUNCTION audit.request_run() IS 'Lets the background worker come when this transaction has committed; internal';

-- It may know this database as one without the extension.
SELECT audit.request_run();
