-- What people in the office do beside the telephone: every way in which a row can change, once. psql runs it after the
-- application has placed its orders. Each transaction says who and why, in one of the three ways there are.
\set ON_ERROR_STOP on
\set QUIET on

-- Prices arrive as a file, replace and extend the list, and are merged into the products: new ones are added, known ones
-- repriced, those without a price given up.
BEGIN;
SET LOCAL audit.actor = 'import@supplier.example';
SET LOCAL audit.trace_id = '7c1a5e7a11f04dd2a3b1c5d6e7f80912';
SET LOCAL audit.reason = 'price list of July';
COPY shop.price_list FROM stdin;
P-101	steel lamp	9.95
P-102	linen chair	15.50
P-103	glass shelf	0
P-141	cork mat	4.20
P-142	brass bell	12.00
\.
INSERT INTO shop.price_list VALUES ('P-101', 'steel lamp', 9.90), ('P-143', 'slate tile', 3.75)
ON CONFLICT (product_id) DO UPDATE SET price = excluded.price;
INSERT INTO shop.price_list VALUES ('P-102', 'linen chair', 99) ON CONFLICT DO NOTHING;
INSERT INTO shop.products (product_id, name, price, stock, tags) VALUES ('P-143', 'slate', 1, 0, '{new}'), ('P-144', 'rug', 80, 5, '{}');
MERGE INTO shop.products p USING shop.price_list l ON p.product_id = l.product_id
WHEN MATCHED AND l.price = 0 THEN DO NOTHING
WHEN MATCHED AND p.tags = '{new}' THEN DELETE
WHEN MATCHED THEN UPDATE SET price = l.price
WHEN NOT MATCHED THEN INSERT (product_id, name, price, stock) VALUES (l.product_id, l.name, l.price, 0);
UPDATE shop.price_list SET product_id = 'P-' || right(product_id, 3)::integer + 1 WHERE product_id = 'P-143';
COMMIT;
TRUNCATE shop.price_list;

-- A customer gives up: the orders and their lines go too.
BEGIN;
SET LOCAL audit.actor = 'ann@example.org';
SET LOCAL audit.trace_id = 'c0ffee5e1f4b4a6c9d8e7f6a5b4c3d2e';
SET LOCAL audit.reason = 'account closed by the customer';
DELETE FROM shop.customers WHERE customer_id = 'C-1055';
UPDATE shop.notes SET body = 'prefers the evening' WHERE about = 'C-1003';
DELETE FROM shop.notes WHERE ctid = (SELECT min(ctid) FROM shop.notes WHERE about = 'C-1007');
COMMIT;

-- A key is freed and taken again, and one row is changed twice in a transaction.
BEGIN;
SET LOCAL audit.actor = 'dan@example.org';
SET LOCAL audit.reason = 'wrong article';
DELETE FROM shop.products WHERE product_id = 'P-144';
INSERT INTO shop.products (product_id, name, price, stock) VALUES ('P-144', 'door mat', 18, 12);
UPDATE shop.products SET price = 17.00, tags = '{home,"line 4"}', offered = '[2026-07-01,2026-12-31]' WHERE product_id = 'P-144';
UPDATE shop.products SET price = 17.0 WHERE product_id = 'P-144';
COMMIT;

-- Dan leaves: his orders lose their representative.
BEGIN;
SELECT audit.set_context(actor => 'cleo@example.org', reason => 'Dan has left', context => '{"ticket": "HR-118"}');
DELETE FROM shop.staff WHERE email = 'dan@example.org';
COMMIT;

-- A customer over time: the whole of it is shown by audit.history.
BEGIN;
SELECT audit.set_context(actor => 'ann@example.org', trace_id => 'a94f1e0b5c6d4e7f8a9b0c1d2e3f4a5b', reason => 'credit review');
SET LOCAL ROLE shop_clerk;
UPDATE shop.customers SET credit = credit + 1500 WHERE customer_id = 'C-1008';
COMMIT;
UPDATE shop.customers
SET contact = contact || '{"phone": "+1 555 0199", "address": {"city": "Utrecht", "zip": "3511"}}', card_number = '5500 0000 0000 0004'
WHERE customer_id = 'C-1008' /*traceparent='00-5b8aa5a2d2c872e8321cf37308d69df2-051581bf3cb55c13-01',actor='ann%40example.org',route='%2Fcustomers%2Fcontact'*/;
BEGIN;
SET LOCAL audit.actor = 'ben@example.org';
SET LOCAL audit.reason = 'typing error';
UPDATE shop.customers SET name = 'Cedar & Sons' WHERE customer_id = 'C-1008';
SAVEPOINT second_thought;
UPDATE shop.customers SET credit = 0 WHERE customer_id = 'C-1008';
INSERT INTO shop.notes (about, body) VALUES ('C-1008', 'does not pay');
ROLLBACK TO second_thought;
INSERT INTO shop.notes (about, body) VALUES ('C-1008', 'asks for paper invoices'), ('C-1008', 'asks for paper invoices');
DELETE FROM shop.notes WHERE ctid = (SELECT min(ctid) FROM shop.notes WHERE about = 'C-1008' AND body LIKE '%paper%');
COMMIT;

-- An order is paid by a role that may only do that, then put off to another quarter: it moves to another partition.
BEGIN;
SET LOCAL audit.actor = 'billing@example.org';
SET LOCAL audit.trace_id = '0af7651916cd43dd8448eb211c80319c';
SET LOCAL ROLE shop_billing;
SELECT shop.pay(42);
COMMIT;
BEGIN;
SET LOCAL audit.actor = 'ann@example.org';
SET LOCAL audit.reason = 'customer asked to wait';
UPDATE shop.orders SET ordered_on = '2026-07-06', delivery = '["2026-08-03 08:00+00","2026-08-03 12:00+00")' WHERE order_id = 42;
UPDATE shop.orders_2026_q3 SET status = 'packed' WHERE order_id = 42;
COMMIT;
