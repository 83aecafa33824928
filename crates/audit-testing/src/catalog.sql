-- What an installed extension consists of, a line a fact, by names and never by OIDs: the same for two installations that are the same.
WITH extension AS (
    SELECT * FROM pg_extension WHERE extname = 'audit'
), members AS (
    SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name
    FROM pg_depend d JOIN extension x ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid WHERE d.deptype = 'e'
), relations AS (
    SELECT c.*, m.name FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    UNION ALL
    -- The columns of a composite type.
    SELECT c.*, m.name FROM members m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    JOIN pg_class c ON c.oid = t.typrelid WHERE c.relkind = 'c'
), facts (name, fact, detail) AS (
    SELECT m.name, 'comment', obj_description(m.objid, m.classid::regclass::name) FROM members m
    UNION ALL
    SELECT 'extension', 'version', x.extversion FROM extension x
    UNION ALL
    SELECT 'extension', 'configuration', concat_ws(' ', t.oid::regclass, t.condition)
    FROM extension x, unnest(x.extconfig, x.extcondition) t (oid, condition)
    UNION ALL
    SELECT m.name, 'initial privileges', (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(i.initprivs) a)
    FROM members m JOIN pg_init_privs i ON i.classoid = m.classid AND i.objoid = m.objid AND i.objsubid = 0
    UNION ALL
    SELECT r.name, 'relation', concat_ws(' ', r.relkind, r.relpersistence, r.relowner::regrole, r.relreplident, r.reloptions, pg_get_partkeydef(r.oid),
           pg_get_expr(r.relpartbound, r.oid), CASE WHEN r.relkind = 'v' THEN pg_get_viewdef(r.oid) END)
    FROM relations r
    UNION ALL
    SELECT r.name, 'privileges', (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(r.relacl) a) FROM relations r
    UNION ALL
    SELECT r.name, format('column %s', a.attnum), concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation,
           a.attnotnull, a.attstorage, a.attgenerated, a.attidentity,
           (SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(a.attoptions) o WHERE o LIKE 'n\_distinct%'), pg_get_expr(d.adbin, d.adrelid), a.attacl, col_description(r.oid, a.attnum))
    FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    UNION ALL
    SELECT r.name, 'constraint', concat_ws(' ', k.conname, pg_get_constraintdef(k.oid), k.convalidated, obj_description(k.oid, 'pg_constraint'))
    FROM relations r JOIN pg_constraint k ON k.conrelid = r.oid
    UNION ALL
    SELECT r.name, 'index', concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisprimary, i.indisreplident)
    FROM relations r JOIN pg_index i ON i.indrelid = r.oid
    UNION ALL
    SELECT r.name, 'trigger', concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
    FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT r.name, 'sequence', concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
    FROM relations r JOIN pg_sequence s ON s.seqrelid = r.oid
    UNION ALL
    SELECT m.name, 'routine', concat_ws(' ', p.proowner::regrole, p.probin, CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END)
    FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
    UNION ALL
    SELECT m.name, 'privileges', (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(p.proacl) a)
    FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
    UNION ALL
    SELECT m.name, 'type', concat_ws(' ', t.typowner::regrole, t.typtype, t.typnotnull, t.typdefault, format_type(t.typbasetype, t.typtypmod),
           (SELECT string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
           (SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid),
           (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(t.typacl) a))
    FROM members m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    UNION ALL
    SELECT m.name, 'schema', concat_ws(' ', n.nspowner::regrole, (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(n.nspacl) a))
    FROM members m JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
    UNION ALL
    SELECT m.name, 'event trigger', concat_ws(' ', t.evtevent, t.evtfoid::regproc, t.evtenabled, t.evttags)
    FROM members m JOIN pg_event_trigger t ON m.classid = 'pg_event_trigger'::regclass AND t.oid = m.objid
)
SELECT concat_ws(' | ', f.name, f.fact, replace(f.detail, E'\n', ' ')) FROM facts f ORDER BY 1;
