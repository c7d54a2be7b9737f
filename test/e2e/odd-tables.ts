/** Tables that are unlike others: SQL that makes them, in the schemas `public` and `odd`. */

const wide = Array.from({ length: 150 }, (_, i) => `c${i} ${['int', 'text', 'numeric(20,3)', 'timestamptz', 'boolean', 'date'][i % 6]}`);

/** Types that travel in columns of their own, each with values at its edges and nulls between them. */
const edges = `
  CREATE TABLE edges (
    id int PRIMARY KEY, b boolean, s smallint, i integer, l bigint, f real, d double precision, n4 numeric(4,4), n9 numeric(9,2), n18 numeric(18,6), n38 numeric(38,9), n numeric, big numeric(50,10),
    txt text, vc varchar(5), ch char(4), by bytea, dt date, t time, t3 time(3), ts timestamp, ts0 timestamp(0), tz timestamptz, u uuid, j json, jb jsonb, iv interval, ttz timetz
  );
  INSERT INTO edges VALUES
    (1, true, -32768, -2147483648, -9223372036854775808, 'NaN', 'NaN', 0.9999, 9999999.99, 999999999999.999999, 99999999999999999999999999999.999999999, 'NaN', 'NaN', '', '', '', '', '0001-01-01', '00:00', '00:00', '0001-01-01', '0001-01-01', '0001-01-01 00:00:00+00', '00000000-0000-0000-0000-000000000000', 'null', 'null', '0', '00:00+00'),
    (2, false, 32767, 2147483647, 9223372036854775807, 'Infinity', '-Infinity', -0.9999, -9999999.99, -999999999999.999999, -99999999999999999999999999999.999999999, '1e-30', '1e-10', E'\\t\\n\\r"\\\\', 'ÄÖ', 'a', '\\x00', '9999-12-31', '24:00', '24:00', '9999-12-31 23:59:59.999999', '2026-06-30 23:59:59.6', '9999-12-31 23:59:59.999999+00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{"a": 1.0}', '{"a": 1.0}', '-1 day +25:00', '24:00-12'),
    (3, null, 0, 0, 0, '-0', '-0', 'NaN', 'NaN', 'NaN', 'NaN', '-0', '0', 'NULL', null, '', '\\xff', 'infinity', '23:59:59.999999', '23:59:59.9996', 'infinity', '-infinity', 'infinity', null, '[]', '[]', '1 year', null),
    (4, true, null, null, null, '1e-45', '5e-324', 0, 0, 0, 0, '12345678901234567890123456789012345678901234567890.5', '9999999999999999999999999999999999999999.9999999999', null, 'abcde', 'abcd', null, '-infinity', null, null, '-infinity', 'infinity', '-infinity', null, '""', '""', '178000000 years', '23:59:59.999999+14'),
    (5, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, '0044-03-15 BC', null, null, '0044-03-15 BC', '4713-01-01 BC', '0044-03-15 00:00+00 BC', null, null, null, null, null),
    (6, true, 1, 1, 1, 3.4028235e38, 1.7976931348623157e308, 0.0001, 0.01, 0.000001, 0.000000001, '1e100', '-1e39', repeat('🎉', 3000), null, null, decode(repeat('00ff', 5000), 'hex'), '5874897-12-31', null, null, '294276-12-31 23:59:59.999999', null, '294276-12-31 23:59:59.999999+00', null, null, null, null, null),
    (7, true, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.10, 0.10, 'x', 'x', 'x', '\\x78', '1969-12-31', '00:00:00.000001', '00:00:00.001', '1969-12-31 23:59:59.999999', '1970-01-01', '1969-12-31 23:59:59.999999+00', gen_random_uuid(), '1', '1', '1.5 s', '12:00+05:45');
`;

export const oddTables = `
  CREATE SCHEMA odd;
  CREATE TABLE odd.nothing ();
  INSERT INTO odd.nothing SELECT FROM generate_series(1, 3);
  CREATE TABLE odd.empty (id int PRIMARY KEY, body text, price numeric(10,2));
  CREATE TABLE odd.one_column (v int);
  INSERT INTO odd.one_column SELECT nullif(i % 3, 0) FROM generate_series(1, 100) i;
  CREATE TABLE odd.nulls (id int, a int, b text, c numeric(12,2), d timestamptz, e bytea, f jsonb, g boolean, h int[]);
  INSERT INTO odd.nulls SELECT i FROM generate_series(1, 300) i;
  CREATE TABLE odd.only_null (a text, b date);
  INSERT INTO odd.only_null SELECT NULL, NULL FROM generate_series(1, 5);
  CREATE TABLE odd."Case" (id int PRIMARY KEY, "Id" int, "ID" text, "iD" date);
  INSERT INTO odd."Case" VALUES (1, 2, 'three', '2026-01-04'), (2, NULL, '', NULL);
  CREATE TABLE odd."case" (id int PRIMARY KEY, v text);
  INSERT INTO odd."case" VALUES (1, 'the other');
  CREATE TABLE odd."dot.ted ""q"" ünï" (id int PRIMARY KEY, "a.b" int, "with ""quotes""" text, "spa ce" text, "ünïcode 🎉" text, "sel'ect" boolean, " " int, "new\nline" int, "0" int, "columns" int);
  INSERT INTO odd."dot.ted ""q"" ünï" VALUES (1, 2, 'three', 'four', 'five', true, 7, 8, 9, 10);
  CREATE TABLE odd.ours (id int PRIMARY KEY, _tapline_values text, _tapline_order text, _tapline_unchanged text, _airbyte_meta text, _airbyte_raw_id int, data text, stream text, meta text);
  INSERT INTO odd.ours VALUES (1, '{"0":"7"}', 'ff', '["id"]', '{}', 5, 'data', 'stream', 'meta'), (2, NULL, NULL, 'x', NULL, NULL, NULL, NULL, NULL);
  CREATE TABLE odd.generated (id int PRIMARY KEY, price numeric(10,2), n int, total numeric(12,2) GENERATED ALWAYS AS (price * n) STORED, made bigint GENERATED ALWAYS AS IDENTITY, dropped int);
  INSERT INTO odd.generated (id, price, n, dropped) SELECT i, i / 4.0, i % 7, i FROM generate_series(1, 50) i;
  ALTER TABLE odd.generated DROP COLUMN dropped;
  ALTER TABLE odd.generated ADD COLUMN later text DEFAULT 'as if it had been there';
  CREATE TABLE odd.wide (id int PRIMARY KEY, ${wide.join(', ')});
  INSERT INTO odd.wide (id, c0, c1, c2, c3, c4, c149) SELECT i, i, 'text ' || i, i / 3.0, '2026-01-01'::timestamptz + i * interval '1 s', i % 2 = 0, '2026-01-01'::date + i FROM generate_series(1, 500) i;
  CREATE TABLE odd.long (id int PRIMARY KEY, body text, raw bytea, doc jsonb);
  INSERT INTO odd.long SELECT i, CASE i % 4 WHEN 0 THEN repeat(chr(233) || 'x', i * 200000) WHEN 1 THEN '' END, decode(repeat('00ff', i * 50000), 'hex'), jsonb_build_object('k', repeat('v', i * 100000)) FROM generate_series(1, 9) i;
  CREATE TABLE odd.parts (id int, at date NOT NULL, v numeric) PARTITION BY RANGE (at);
  CREATE TABLE odd.parts_a PARTITION OF odd.parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
  CREATE TABLE odd.parts_b (v numeric, at date NOT NULL, id int);
  ALTER TABLE odd.parts ATTACH PARTITION odd.parts_b FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
  INSERT INTO odd.parts SELECT i, '2026-01-01'::date + i, i / 8.0 FROM generate_series(0, 50) i;
  CREATE DOMAIN odd.amount AS numeric(9,3); CREATE DOMAIN odd.amounts AS odd.amount; CREATE DOMAIN odd.ints AS int[]; CREATE DOMAIN odd.moment AS timestamptz(3); CREATE DOMAIN odd.raw AS bytea;
  CREATE TYPE odd.colour AS ENUM ('red', 'deep "blue"', ''); CREATE TYPE odd.pair AS (n numeric, t timestamptz, c odd.colour[]);
  CREATE TABLE odd.domains (id int PRIMARY KEY, a odd.amount, aa odd.amounts, i odd.ints, m odd.moment, r odd.raw, c odd.colour, cs odd.colour[], p odd.pair, ps odd.pair[], rg numrange, dr daterange[]);
  INSERT INTO odd.domains VALUES
    (1, 1.5, 'NaN', '{1,NULL}', '2026-11-20 07:08:09.1239+05:45', '\\x00ff', 'red', '{red,NULL,"deep \\"blue\\""}', '(1.50,"2026-01-01 00:00:00+02","{red}")', ARRAY['(,,)', '(NaN,infinity,{})']::odd.pair[], '[1.5,)', '{empty,"[2026-01-01,2026-02-01)"}'),
    (2, NULL, -999999.999, '{}', 'infinity', '', '', '{}', NULL, '{}', 'empty', NULL);
  CREATE TABLE odd.large (id bigint PRIMARY KEY, grp int, body text, price numeric(12,2), at timestamptz, day date, flag boolean, note text);
  INSERT INTO odd.large SELECT i, i % 100, CASE WHEN i % 11 > 0 THEN md5(i::text) END, CASE WHEN i % 1000 = 7 THEN 'NaN' ELSE (i * 37 % 100000) / 100.0 END, '2020-01-01'::timestamptz + i * interval '17 s', CASE WHEN i % 5000 = 3 THEN 'infinity' ELSE '2020-01-01'::date + i % 3000 END, nullif(i % 3, 0) = 1, CASE WHEN i > 20000 THEN repeat('n', i % 50) END FROM generate_series(1, 30000) i;
  ${edges}
`;
