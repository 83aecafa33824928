-- docs/functions.md, from the catalog: what schema audit holds, with comments and the roles that may use it.
--
-- A chapter is a list of names; what stands in none of them comes last, under a heading that tests/documents.rs refuses.

CREATE FUNCTION pg_temp.short(type_name text) RETURNS text LANGUAGE sql
    RETURN replace(type_name, 'timestamp with time zone', 'timestamptz');

-- The roles that a list of privileges names.
CREATE FUNCTION pg_temp.grantees(privileges aclitem[], privilege text) RETURNS text LANGUAGE sql
BEGIN ATOMIC
    SELECT coalesce(string_agg('`' || r.name || '`', ', ' ORDER BY r.place), 'the owner of the extension')
    FROM (VALUES (0, 'PUBLIC'), (1, 'audit_reader'), (2, 'audit_writer'), (3, 'audit_admin')) r (place, name)
    WHERE EXISTS (SELECT FROM aclexplode(privileges) g
                  WHERE g.privilege_type = privilege
                    AND g.grantee = CASE r.name WHEN 'PUBLIC' THEN 0 ELSE to_regrole(r.name) END);
END;

-- Arguments with the defaults that a person would write.
CREATE FUNCTION pg_temp.arguments(routine oid) RETURNS text LANGUAGE sql
BEGIN ATOMIC
    SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(
               pg_temp.short(pg_get_function_arguments(routine)),
               '^IN ', ''),
               'NULL::[a-z]+(\[\])?', 'NULL', 'g'),
               '(''[^'']*'')::(text|jsonb)', '\1', 'g'),
               '\(([a-z]+\(\) - )(''[^'']*'')::interval\)', '\1interval \2', 'g');
END;

-- How a routine is called, one argument a line where there are more than three.
CREATE FUNCTION pg_temp.form(routine oid) RETURNS text LANGUAGE sql
BEGIN ATOMIC
    SELECT format(E'```sql\n%s audit.%s(%s)%s\n```',
        CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
        p.proname,
        CASE WHEN p.pronargs > 3 OR has_out
             THEN format(E'\n    %s\n', regexp_replace(arguments, ', (?=(OUT )?[a-z_0-9]+ [a-z"])', E',\n    ', 'g'))
             ELSE arguments END,
        CASE WHEN p.prokind = 'p' OR has_out THEN ''
             WHEN result LIKE 'TABLE(%' AND length(result) > 80
             THEN format(E' RETURNS TABLE (\n    %s\n)',
                         replace(trim(TRAILING ')' FROM substr(result, 7)), ', ', E',\n    '))
             ELSE ' RETURNS ' || replace(result, 'TABLE(', 'TABLE (') END)
    FROM pg_proc p,
         LATERAL (SELECT pg_temp.arguments(p.oid), pg_temp.short(pg_get_function_result(p.oid)),
                         coalesce('o' = ANY (p.proargmodes), false)) s (arguments, result, has_out)
    WHERE p.oid = routine;
END;

CREATE FUNCTION pg_temp.columns(relation oid) RETURNS text LANGUAGE sql
BEGIN ATOMIC
    SELECT E'| column | type | |\n|---|---|---|\n'
        || string_agg(format('| `%s` | %s | %s |', a.attname, pg_temp.short(format_type(a.atttypid, a.atttypmod)),
                             coalesce(col_description(relation, a.attnum), '')), E'\n' ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped;
END;

WITH chapters (place, title, names) AS (VALUES
    (1, 'What is audited',
        '{enable,disable,enable_schema,disable_schema,baseline,tables,schemas,coverage,status,uninstall}'::text[]),
    (2, 'Who and why',
        '{set_context}'),
    (3, 'Reading the trail',
        '{trail,changes,event_parameter_values,sessions,search,history,server_history,event,diff,related,row,follow}'),
    (4, 'Figures',
        '{table_activity,user_activity,user_sessions,activity_by_day,activity_by_hour,dashboard,recent_high_risk}'),
    (5, 'Reports',
        '{report_data_changes,report_user_access,report_security_events,report_exports,report_admin_activity,'
        'report_system_access,report_html,dashboard_html}'),
    (6, 'Events of applications',
        '{define_event_type,record,execution,error_groups}'),
    (7, 'Retention and archives',
        '{set_retention,retention,prune,hold,release,holds,archive,archives,check_archive,restore_archive,'
        'unload_archive,maintain,maintenance_step,partitions}'),
    (8, 'Fleet',
        '{publish,gather,servers}'),
    (9, 'Tables',
        '{events,event_types,event_parameters}'),
    (10, 'What the extension itself calls',
        '{capture_row,capture_truncate}')
), notes (name, note) AS (VALUES
    -- What a comment on the object has no room for.
    ('events', 'Read [audit.trail](#audittrail) first: it shows the same events with names in place of numbers.'),
    ('report_html', '`report` is `data_changes`, `user_access`, `security_events`, `exports`, `admin_activity` or '
                    '`system_access`.')
), named AS (
    SELECT c.place, c.title, n.name, n.position
    FROM chapters c CROSS JOIN LATERAL unnest(c.names) WITH ORDINALITY n (name, position)
), members AS (
    SELECT d.classid, d.objid FROM pg_depend d
    WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
      AND d.refobjid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'audit')
), objects AS (
    SELECT p.proname::text AS name, p.oid::regprocedure::text AS signature,
           concat_ws(E'\n\n', pg_temp.form(p.oid), obj_description(p.oid, 'pg_proc') || '.',
                     (SELECT n.note FROM notes n WHERE n.name = p.proname),
                     format('Callers: %s.', pg_temp.grantees(coalesce(p.proacl, acldefault('f', p.proowner)),
                                                             'EXECUTE'))) AS text
    FROM pg_proc p JOIN members m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
    WHERE p.pronamespace = 'audit'::regnamespace
    UNION ALL
    -- Partitions are not for people.
    SELECT c.relname, c.relname,
           concat_ws(E'\n\n', CASE c.relkind WHEN 'v' THEN 'View. ' ELSE 'Table. ' END
                              || obj_description(c.oid, 'pg_class') || '.',
                     (SELECT n.note FROM notes n WHERE n.name = c.relname),
                     pg_temp.columns(c.oid), format('Readers: %s.', pg_temp.grantees(c.relacl, 'SELECT')))
    FROM pg_class c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
    WHERE c.relnamespace = 'audit'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
), parts AS (
    -- What has the same name stands under one heading.
    SELECT coalesce(n.place, 100) AS place, coalesce(n.title, 'Other objects') AS title,
           coalesce(n.position, 0) AS position,
           o.name, string_agg(o.text, E'\n\n' ORDER BY o.signature COLLATE "C") AS text
    FROM objects o LEFT JOIN named n ON n.name = o.name
    GROUP BY n.place, n.title, n.position, o.name
), shown AS (
    SELECT p.place,
           format('- %s: %s', p.title, string_agg(format('[%s](#audit%1$s)', p.name), ', '
                                                  ORDER BY p.position, p.name COLLATE "C")) AS contents,
           format(E'## %s\n\n', p.title)
           || string_agg(format(E'### audit.%s\n\n%s', p.name, p.text), E'\n\n'
                         ORDER BY p.position, p.name COLLATE "C") AS text
    FROM parts p GROUP BY p.place, p.title
)
SELECT E'# Functions and views\n\n'
       'Generated from the catalog by `docs/generate`: do not edit. Each object stands with its comment and the roles that\n'
       'the extension has granted it to. The owner of the extension and superusers may use all of them.\n\n'
       || string_agg(s.contents, E'\n' ORDER BY s.place) || E'\n\n' || string_agg(s.text, E'\n\n' ORDER BY s.place)
FROM shown s;
