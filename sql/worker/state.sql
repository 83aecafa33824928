-- The state of the background worker in this database, and requests for a run.

CREATE FUNCTION audit_internal.worker_state(
    OUT naptime integer,
    OUT is_launched boolean,
    OUT is_under_way boolean,
    OUT slot_missing_since timestamptz,
    OUT slot_misses bigint,
    OUT ran_at timestamptz,
    OUT outcome text,
    OUT failures bigint,
    OUT error text)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_worker_state';
COMMENT ON FUNCTION audit_internal.worker_state() IS
    'The state of the launcher and of its runs in this database; null where the library is not preloaded';

-- Called by audit.status(), whose rights show the backend type of other sessions.
CREATE FUNCTION audit_internal.worker_status(OUT words text, OUT ran_at timestamptz, OUT error text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state record;
BEGIN
    SELECT * INTO state FROM audit_internal.worker_state();
    ran_at := state.ran_at;
    error := state.error;
    words := CASE
        WHEN state.is_under_way
          OR EXISTS (SELECT FROM pg_stat_activity a
                     WHERE a.backend_type = 'audit maintenance' AND a.datname = current_database())
            THEN 'running'
        WHEN state.is_launched IS NULL
            THEN 'not preloaded: started on demand only, call audit.maintain()'
        WHEN pg_is_in_recovery()
            THEN 'waits for the end of recovery'
        WHEN NOT state.is_launched
            THEN 'not running: the launcher has not started, which takes some seconds '
                 'and one of max_worker_processes'
        WHEN state.slot_missing_since IS NOT NULL
            THEN format('no free worker slot since %s (%s times)',
                        date_trunc('second', state.slot_missing_since), state.slot_misses)
        WHEN state.failures > 0
            THEN format('failed in this database at %s (%s times): %s',
                        date_trunc('second', state.ran_at), state.failures, state.error)
        WHEN EXISTS (SELECT FROM pg_database d
                     WHERE d.datname = current_database() AND (d.datistemplate OR NOT d.datallowconn))
            THEN 'never runs in a template or a database that does not allow connections'
        WHEN state.ran_at IS NULL
            THEN format('runs every %s s, has not run in this database yet', state.naptime)
        ELSE format('runs every %s s, last %s (%s)',
                    state.naptime, date_trunc('second', state.ran_at), state.outcome)
    END;
END;
$$;
COMMENT ON FUNCTION audit_internal.worker_status() IS
    'The state of the background worker in words, the time of its last run in this database and the error '
    'that ended it';

CREATE FUNCTION audit_internal.request_run() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'audit_request_run';
COMMENT ON FUNCTION audit_internal.request_run() IS
    'Requests a run of the background worker in this database when this transaction commits';

-- The launcher may have recorded that this database is without the extension.
SELECT audit_internal.request_run();
