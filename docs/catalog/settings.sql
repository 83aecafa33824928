-- The table of docs/configuration.md, from pg_settings. The settings of builds for tests are left out.

-- The settings are defined when the library is loaded.
LOAD 'audit';

SELECT E'| setting | type | default | who may set it | |\n|---|---|---|---|---|\n'
    || string_agg(format('| [`%s`](#%s) | %s | %s | %s | %s |', s.name, replace(s.name, '.', ''),
           CASE s.vartype WHEN 'bool' THEN 'boolean' ELSE s.vartype END,
           CASE WHEN s.vartype = 'string' THEN '(empty)'
                WHEN s.unit = 'MB' THEN pg_size_pretty(s.boot_val::bigint * 1048576)
                WHEN s.unit = 'B' THEN concat(s.boot_val::bigint / 1048576, ' MB')
                ELSE concat_ws(' ', s.boot_val, s.unit) END,
           CASE s.context WHEN 'user' THEN 'any role' WHEN 'superuser' THEN 'superusers'
                WHEN 'sighup' THEN 'configuration file' ELSE s.context END,
           concat_ws(' ', s.short_desc, s.extra_desc)), E'\n' ORDER BY s.name COLLATE "C")
FROM pg_settings s
WHERE s.name LIKE 'audit.%' AND s.name NOT LIKE 'audit.test\_%';
