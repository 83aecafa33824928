-- The shop's application, one transaction as pgbench runs it: a clerk places an order and advances an older one.
-- Who, under which trace and why is said in the settings of the transaction, as behind a connection pooler.
\set clerk random(1, 3)
\set customer random(1001, 1050)
\set product random(101, 140)
\set old_order random(51, 200)
\set day random(0, 270)
\set request random(1, 1000000000)
SELECT (ARRAY['ann', 'ben', 'cleo'])[:clerk] AS name, md5(':client_id :request') AS trace \gset
BEGIN;
SET LOCAL audit.actor = ':name@example.org';
SET LOCAL audit.trace_id = ':trace';
SET LOCAL audit.reason = 'order by telephone';
UPDATE shop.customers SET last_seen = clock_timestamp() WHERE customer_id = 'C-:customer';
INSERT INTO shop.orders (ordered_on, customer_id, sales_rep)
VALUES ('2026-01-05'::date + :day, 'C-:customer', :clerk) RETURNING order_id, ordered_on \gset
INSERT INTO shop.order_lines (order_id, line_no, ordered_on, product_id, quantity, price)
SELECT :order_id, 1, ':ordered_on', product_id, 2, price FROM shop.products WHERE product_id = 'P-:product';
UPDATE shop.products SET stock = stock - 2 WHERE product_id = 'P-:product';
UPDATE shop.orders SET status = CASE status WHEN 'placed' THEN 'paid' WHEN 'paid' THEN 'packed' ELSE 'shipped' END::shop.order_status
WHERE order_id = :old_order AND status < 'shipped';
COMMIT;
