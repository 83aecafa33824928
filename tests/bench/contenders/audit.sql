-- This extension. psql variable: level.
CREATE EXTENSION audit;
SELECT set_config('bench.level', :'level', false);
CALL bench.for_each_table($$SELECT audit.enable('public.%I', level => current_setting('bench.level'))$$);
