-- An update beside a large value. psql variable: prefix.
VACUUM document;
CHECKPOINT;
SELECT :'prefix', 'update', milliseconds FROM bench.timed_update('document');
