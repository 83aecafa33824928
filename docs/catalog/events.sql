-- docs/events.md, from audit.event_types and audit.event_parameters.

CREATE FUNCTION pg_temp.parameters(event_type integer) RETURNS text LANGUAGE sql
BEGIN ATOMIC
    SELECT E'\n\n| parameter | type | required | |\n|---|---|---|---|\n'
        || string_agg(format('| `%s` | %s | %s | %s |', p.name, p.data_type,
                             CASE WHEN p.required THEN 'yes' ELSE 'no' END, coalesce(p.description, '')), E'\n'
                      ORDER BY p.required DESC, p.name COLLATE "C")
    FROM audit.event_parameters p WHERE p.event_type = parameters.event_type;
END;

WITH categories (place, category, description) AS (VALUES
    (1, 'data', 'Changes of rows.'),
    (2, 'read', 'Reads and exports.'),
    (3, 'security', 'Logins, denials, roles and privileges.'),
    (4, 'schema', 'Changes of definitions.'),
    (5, 'system', 'What happened to auditing and to the trail itself.'),
    (6, 'application', 'What applications record with `audit.record`.')
), not_recorded (name) AS (
    -- Types that nothing writes in this version: reports and risks know them already.
    SELECT unnest('{table.read,data.export,session.login,session.logout,session.login_failed,access.denied,'
                  'statement.error,role.create,role.alter,role.drop,privilege.grant,privilege.revoke,role.set,'
                  'object.create,object.alter,object.drop,partition.create,audit.lost,audit.gap,audit.uninstall,'
                  'evidence.erase,function.call}'::text[])
), parts AS (
    SELECT c.place, t.event_type,
           format(E'### %s\n\n%s. Risk: %s.%s%s', t.name, t.description, t.risk,
                  CASE WHEN n.name IS NOT NULL THEN ' Not recorded by this version.' END,
                  pg_temp.parameters(t.event_type)) AS text
    FROM audit.event_types t
    JOIN categories c ON c.category = t.category
    LEFT JOIN not_recorded n ON n.name = t.name
    WHERE t.built_in
), shown AS (
    SELECT c.place,
           format(E'## Category %s\n\n%s\n\n', c.category, c.description)
           || string_agg(p.text, E'\n\n' ORDER BY p.event_type) AS text
    FROM categories c JOIN parts p ON p.place = c.place
    GROUP BY c.place, c.category, c.description
)
SELECT E'# Events\n\n'
       'Generated from the catalog by `docs/generate`: do not edit. Each type of event that the extension knows, with the\n'
       'parameters that are declared for it and `audit.trail` shows in `parameters`. Applications add their own types with\n'
       '[`audit.define_event_type`](functions.md#auditdefine_event_type); `audit.event_types` and `audit.event_parameters`\n'
       'list all of them.\n\n'
       || string_agg(s.text, E'\n\n' ORDER BY s.place)
FROM shown s;
