/** A small shop: two schemas, several types, an empty table. */
export const shop = `
  CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, vip boolean, credit numeric(12,2), created timestamptz NOT NULL);
  INSERT INTO customers SELECT i, 'Customer ' || i, i % 7 = 0, (i * 1.25)::numeric(12,2), '2026-01-01T00:00:00Z'::timestamptz + i * interval '1 hour'
    FROM generate_series(1, 500) i;
  CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int NOT NULL, note text, updated_at timestamptz NOT NULL);
  INSERT INTO orders SELECT i, 1 + i % 500, repeat('n', i % 40), '2026-02-01T00:00:00Z'::timestamptz + (i / 10) * interval '1 second'
    FROM generate_series(1, 3000) i;
  CREATE TABLE nothing_yet (id int PRIMARY KEY, body jsonb);
  CREATE SCHEMA billing;
  CREATE TABLE billing.orders (number text PRIMARY KEY, total numeric(10,3));
  INSERT INTO billing.orders SELECT 'B-' || i, i / 8.0 FROM generate_series(1, 64) i;
`;
