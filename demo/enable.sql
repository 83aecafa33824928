-- What a DBA types to have a database audited. All at once, so that nothing is seen half enabled.
BEGIN;
SELECT audit.enable(t) FROM unnest('{pgbench_accounts,pgbench_branches,pgbench_tellers,pgbench_history}'::regclass[]) t;
SELECT audit.enable(t) FROM unnest('{shop.orders,shop.order_lines,shop.price_list}'::regclass[]) t;
SELECT audit.enable(t, label_column => 'name') FROM unnest('{shop.staff,shop.products}'::regclass[]) t;
SELECT audit.enable('shop.customers', label_column => 'name', ignore_columns => '{last_seen}', redact => '{"card_number": "mask"}');
-- Without a key only the whole old row tells which row was changed.
SELECT audit.enable('shop.notes', level => 'comprehensive');
COMMIT;

-- The rows that are there already: without them the trail of a row begins with its first change.
SELECT audit.baseline(t) FROM unnest('{pgbench_accounts,pgbench_branches,pgbench_tellers,pgbench_history,shop.staff,
    shop.customers,shop.products,shop.orders,shop.order_lines,shop.price_list,shop.notes}'::regclass[]) t;

-- What has no policy is kept for ever.
SELECT audit.set_retention('data', keep => '7 years');
SELECT audit.set_retention('data', keep => '90 days', target => 'pgbench_history');
SELECT audit.set_retention('system', keep => '10 years');
SELECT audit.hold('dispute 17', 'letter of 3 May', entity => 'shop.customers', entity_id => 'C-1008');
