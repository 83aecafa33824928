-- table_log as its documentation has it: a log table a table, with a number and the user.
CREATE EXTENSION table_log;
CALL bench.for_each_table($$SELECT table_log_init(5, 'public', '%1$s', 'trail', '%1$s_log')$$);
