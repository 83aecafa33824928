-- Legal holds: events that a hold covers are exempt from retention.

-- SECURITY DEFINER is safe here: its callers, members of audit_admin, store a hold, which is recorded as an
-- event.
CREATE FUNCTION audit.hold(
    name text,
    reason text,
    entity text DEFAULT NULL,
    since timestamptz DEFAULT NULL,
    until timestamptz DEFAULT NULL,
    entity_id text DEFAULT NULL,
    actor text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    placed audit.holds;
BEGIN
    IF coalesce(name, '') = '' OR coalesce(reason, '') = '' THEN
        RAISE EXCEPTION 'a legal hold requires a name and a reason'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Name the matter, and say who requested the hold.';
    ELSIF since >= until THEN
        RAISE EXCEPTION 'since must be earlier than until'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'A hold covers the events from since to before until.';
    ELSIF entity_id IS NOT NULL AND entity IS NULL THEN
        RAISE EXCEPTION 'entity_id requires entity'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass entity too.';
    ELSIF EXISTS (SELECT FROM audit.holds h WHERE h.name = hold.name) THEN
        RAISE EXCEPTION 'legal hold "%" already exists', name
            USING ERRCODE = 'duplicate_object', HINT = 'Choose another name, or release that hold first.';
    END IF;
    IF entity IS NOT NULL
       AND NOT EXISTS (SELECT FROM audit_internal.relations r WHERE r.entity = hold.entity) THEN
        RAISE WARNING 'no table named % has been audited', entity
            USING HINT = 'Write entities as audit.trail shows them: schema.table.';
    END IF;
    -- A session that is pruning finishes first; one that starts later sees the hold.
    PERFORM audit_internal.lock('retention');
    placed.name := name;
    placed.reason := reason;
    placed.entity := entity;
    placed.entity_id := entity_id;
    placed.actor := actor;
    placed.since := since;
    placed.until := until;
    placed.placed_at := audit_internal.clock();
    placed.placed_by := session_user;
    PERFORM audit_internal.upsert_config(placed);
    PERFORM audit_internal.recheck_held();
    -- Of a trail that has none yet.
    PERFORM audit_internal.create_partitions();
    PERFORM audit_internal.emit(
        'retention.hold',
        parameters => jsonb_strip_nulls(jsonb_build_object(
            'reason', reason,
            'entity', entity,
            'entity_id', entity_id,
            'actor', actor,
            'since', since,
            'until', until)),
        entity => name);
END;
$$;
COMMENT ON FUNCTION audit.hold(text, text, text, timestamptz, timestamptz, text, text) IS
    'Exempts events from retention until the hold is released: all events, or those of a table, a row, an '
    'actor or a time range';

-- SECURITY DEFINER is safe here: its callers, members of audit_admin, delete a hold, which is recorded as an
-- event.
CREATE FUNCTION audit.release(name text, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held audit.holds;
BEGIN
    SELECT h.* INTO held FROM audit.holds h WHERE h.name = release.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'legal hold "%" does not exist', coalesce(name, 'null')
            USING ERRCODE = 'undefined_object', HINT = 'audit.holds lists the holds.';
    END IF;
    PERFORM audit_internal.lock('retention');
    PERFORM audit_internal.delete_config(held);
    PERFORM audit_internal.recheck_held();
    PERFORM audit_internal.emit(
        'retention.release',
        parameters => jsonb_strip_nulls(jsonb_build_object(
            'reason', reason,
            'placed_for', held.reason,
            'placed_at', held.placed_at,
            'placed_by', held.placed_by,
            'entity', held.entity,
            'entity_id', held.entity_id,
            'actor', held.actor,
            'since', held.since,
            'until', held.until)),
        entity => name);
END;
$$;
COMMENT ON FUNCTION audit.release(text, text) IS
    'Releases a legal hold: the events that it covered are subject to retention again';

CREATE FUNCTION audit_internal.recheck_held() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known audit_internal.partition_catalog;
BEGIN
    FOR known IN SELECT f.* FROM audit_internal.partition_catalog f WHERE f.pruned_at IS NOT NULL LOOP
        known.pruned_at := NULL;
        PERFORM audit_internal.upsert_config(known);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.recheck_held() IS
    'Has retention check the partitions again that it pruned as far as holds allowed';

CREATE FUNCTION audit_internal.held(first_at timestamptz, last_at timestamptz) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN bool_or(c.condition = 'true')
                THEN 'true'
                ELSE string_agg(c.condition, ' OR ' ORDER BY h.name) END
    FROM audit.holds h
    CROSS JOIN LATERAL (
        SELECT coalesce(string_agg('(' || p.part || ')', ' AND ' ORDER BY p.place), 'true') AS condition
        FROM (VALUES
            (1, CASE WHEN h.since > held.first_at THEN format('e.occurred_at >= %L', h.since) END),
            (2, CASE WHEN h.until <= held.last_at THEN format('e.occurred_at < %L', h.until) END),
            (3, CASE WHEN h.entity IS NOT NULL THEN format(
                'e.entity = %1$L OR (e.node_id, e.relation_id) IN ('
                '    SELECT r.node_id, r.relation_id FROM audit_internal.relations r'
                '    WHERE r.lineage IN ('
                '        SELECT s.lineage FROM audit_internal.relations s WHERE s.entity = %1$L))',
                h.entity) END),
            (4, CASE WHEN h.entity_id IS NOT NULL THEN format(
                'e.entity_id = %1$L OR e.new_entity_id = %1$L',
                h.entity_id) END),
            (5, CASE WHEN h.actor IS NOT NULL THEN format(
                'EXISTS (SELECT FROM audit_internal.contexts k'
                '        WHERE k.node_id = e.node_id AND k.context_id = e.context_id'
                '          AND %L IN (k.actor, k.login))',
                h.actor) END)) p (place, part)
        WHERE p.part IS NOT NULL) c
    WHERE coalesce(h.since <= held.last_at, true) AND coalesce(h.until > held.first_at, true);
END;
COMMENT ON FUNCTION audit_internal.held(timestamptz, timestamptz) IS
    'Which events between two times holds cover: null for none, ''true'' for all, else a condition on an '
    'event e';
