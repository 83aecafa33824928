-- One statement each that inserts, updates and deletes all rows of a table. psql variables: prefix, table.
CHECKPOINT;
SELECT :'prefix', 'insert', milliseconds FROM bench.timed_insert(:'table');
CHECKPOINT;
SELECT :'prefix', 'update', milliseconds FROM bench.timed_update(:'table');
CHECKPOINT;
SELECT :'prefix', 'delete', milliseconds FROM bench.timed_delete(:'table');
VACUUM :"table";
