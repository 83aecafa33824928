-- WAL of a bulk update. psql variable: prefix.

-- The pages of the table are new since the checkpoint: its WAL holds no full pages.
CHECKPOINT;
SELECT FROM bench.timed_insert('customer');
SELECT :'prefix', 'wal', wal FROM bench.timed_update('customer');
CHECKPOINT;
SELECT :'prefix', 'wal after a checkpoint', wal FROM bench.timed_update('customer');
DELETE FROM customer;
VACUUM customer;
