/**
 * One column a type, one row a value, and what each must read as from Parquet: PostgreSQL says it itself, by `expected`.
 * Values are compared as text in one canonical form, so that any reader can be held against it.
 */
export interface TypeCase {
  readonly column: string;
  readonly type: string;
  /** SQL expressions; row n of the table holds the n-th. */
  readonly values: readonly string[];
  /** The Parquet type that the contract fixes; absent where it leaves a choice. */
  readonly parquet?: string;
  /** SQL over `c`, giving the canonical text. Default: PostgreSQL's own output. */
  readonly expected?: string;
  /** Indexes of values that no Parquet type holds: null, with an entry in `_airbyte_meta.changes`. */
  readonly unholdable?: readonly number[];
  /** Indexes of values that may be either exact or null with an entry. */
  readonly either?: readonly number[];
  /** Smallest server version that has it. */
  readonly since?: number;
  readonly requires?: string;
}

const own = `format('%s', c)`;
const asJson = 'to_json(c)::text';
const timestamp = `to_char(c, 'YYYY-MM-DD"T"HH24:MI:SS.US')`;
const json = `$j$ {"n": 12345678901234567890.123456789, "big": 18446744073709551615, "tiny": 5e-324, "s": "a\\u00e9\\ud83d\\ude00\\"\\\\ \\n", "deep": [[{"x": [null, true]}]]} $j$`;
const text = [`''`, `'plain'`, `E'quote " back \\\\ slash / \\t tab \\n line \\r return'`, `E'\\u2028 \\u2029 \\u00e9 \\u0001 \\u001f \\u007f'`, `'🎉 日本語 ﷽'`, `'null'`, `'NaN'`, `'{"type":"RECORD"}'`, `repeat('long ', 200000)`];
const instants = [
  `'2026-11-20 07:08:09.123456'`, `'1969-12-31 23:59:59.999999'`, `'0001-01-01 00:00:00'`, `'9999-12-31 23:59:59.999999'`, `'1582-10-10 12:00:00'`,
  `'0044-03-15 01:02:03 BC'`, `'infinity'`, `'-infinity'`, `'294276-12-31 23:59:59.999999'`, `'2026-06-30 24:00:00'`, `'1900-01-01 00:00:00.000001'`, `'4713-01-01 00:00:00 BC'`,
];

export const cases: readonly TypeCase[] = [
  { column: 'bool', type: 'boolean', values: ['true', 'false'], parquet: 'boolean', expected: 'c::text' },
  { column: 'i2', type: 'smallint', values: ['-32768', '32767', '0'], parquet: 'int16' },
  { column: 'i4', type: 'integer', values: ['-2147483648', '2147483647', '0'], parquet: 'int32' },
  { column: 'i8', type: 'bigint', values: ['-9223372036854775808', '9223372036854775807', '9007199254740993', '-9007199254740993', '0'], parquet: 'int64' },
  { column: 'f4', type: 'real', values: [`'NaN'`, `'Infinity'`, `'-Infinity'`, `'3.4028235e38'`, `'1e-45'`, `'0.1'`, `'-0'`, '16777217'], parquet: 'float32' },
  { column: 'f8', type: 'double precision', values: [`'NaN'`, `'Infinity'`, `'-Infinity'`, `'1.7976931348623157e308'`, `'5e-324'`, `'0.1'`, `'-0'`, `'9007199254740993'`, `'1e22'`, `'123456789.123456789'`], parquet: 'float64' },
  { column: 'n12_2', type: 'numeric(12,2)', values: ['9999999999.99', '-0.01', '0', '1.5', `'NaN'`], parquet: 'decimal(12,2)', unholdable: [4] },
  { column: 'n38_10', type: 'numeric(38,10)', values: ['1234567890123456789012345678.0123456789', '-9999999999999999999999999999.9999999999', '0.0000000001', `'NaN'`], parquet: 'decimal(38,10)', unholdable: [3] },
  { column: 'n38_0', type: 'numeric(38)', values: ['99999999999999999999999999999999999999', '-1'], parquet: 'decimal(38,0)' },
  { column: 'n38_38', type: 'numeric(38,38)', values: ['0.12345678901234567890123456789012345678', '-0.1'], parquet: 'decimal(38,38)' },
  { column: 'n39_1', type: 'numeric(39,1)', values: ['12345678901234567890123456789012345678.9', `'NaN'`], parquet: 'string' },
  { column: 'n', type: 'numeric', values: ['12345678901234567890.123456789', '1e-200', '1e200', `'NaN'`, '0.10', `'-0.000'`, '1.0'], parquet: 'string' },
  { column: 'n_inf', type: 'numeric', values: [`'Infinity'`, `'-Infinity'`], parquet: 'string' },
  { column: 'n_negative_scale', type: 'numeric(4,-2)', values: ['123400', '-999900'], since: 15 },
  { column: 'n_wide_scale', type: 'numeric(2,5)', values: ['0.00012', '-0.00099'], since: 15 },
  { column: 'txt', type: 'text', values: text, parquet: 'string' },
  { column: 'vc', type: 'varchar(20)', values: [`'varying'`, `''`, `'  spaces  '`], parquet: 'string' },
  { column: 'ch', type: 'char(5)', values: [`'ab'`, `''`, `'abcde'`], parquet: 'string' },
  { column: 'one_char', type: '"char"', values: [`'x'`], parquet: 'string' },
  { column: 'nm', type: 'name', values: [`'a name'`], parquet: 'string' },
  { column: 'by', type: 'bytea', values: [`'\\x'`, `'\\x00ff10'`, `decode(repeat('00ff7f80', 50000), 'hex')`, `convert_to('text', 'UTF8')`], parquet: 'bytes', expected: `encode(c, 'hex')` },
  { column: 'd', type: 'date', values: [`'2026-11-20'`, `'1969-12-31'`, `'0001-01-01'`, `'9999-12-31'`, `'0044-03-15 BC'`, `'infinity'`, `'-infinity'`, `'5874897-12-31'`, `'1582-10-10'`, `'12026-01-01'`], parquet: 'date', expected: `c::text`, unholdable: [4, 5, 6], either: [7, 9] },
  { column: 'ts', type: 'timestamp', values: instants, parquet: 'timestamp', expected: timestamp, unholdable: [5, 6, 7, 8, 11] },
  { column: 'tz', type: 'timestamptz', values: [...instants.map((one) => (/infinity/.test(one) ? one : one.replace(/( BC)?'$/, `+00$1'`))), `'2026-11-20 07:08:09.5+05:45'`, `'0001-01-01 00:00:00-12'`], parquet: 'timestamptz', expected: `to_char(c AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')`, unholdable: [5, 6, 7, 8, 11] },
  { column: 't', type: 'time', values: [`'00:00:00'`, `'23:59:59.999999'`, `'24:00:00'`, `'07:08:09.1'`], expected: `to_char(c::interval, 'HH24:MI:SS.US')`, either: [2] },
  { column: 'ttz', type: 'timetz', values: [`'07:08:09.123456+05:45'`, `'24:00:00-12'`, `'00:00:00+00'`], parquet: 'string' },
  { column: 'iv', type: 'interval', values: [`'1 year 2 mons -3 days 04:05:06.789'`, `'-00:00:00.000001'`, `'0'`, `'178000000 years'`], parquet: 'string' },
  { column: 'id_uuid', type: 'uuid', values: [`'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`, `'00000000-0000-0000-0000-000000000000'`] },
  { column: 'js', type: 'json', values: [json, `'null'`, `'"\\ud800"'`, `'  [1,  2.50, 1e400]'`, `'"\\u0000"'`, `'{"a":1,"a":2}'`, `'true'`], parquet: 'string', expected: 'c::text' },
  { column: 'jb', type: 'jsonb', values: [json, `'null'`, `'[1, 2.50, 1e40]'`, `'{"a":1,"a":2}'`, `'""'`], parquet: 'string', expected: 'c::text' },
  { column: 'a_int', type: 'int[]', values: [`'{1,NULL,3}'`, `'{}'`, `'[5:6]={7,8}'`, `'{{1,2},{3,NULL}}'`, `'{{{1}},{{2}}}'`], parquet: 'string', expected: asJson },
  { column: 'a_big', type: 'bigint[]', values: [`'{9223372036854775807,-9223372036854775808}'`], parquet: 'string', expected: asJson },
  { column: 'a_text', type: 'text[]', values: [`ARRAY['a', NULL, 'NULL', '', 'with "quotes"', E'back\\\\slash', 'comma,', E'new\\nline']`], parquet: 'string', expected: asJson },
  { column: 'a_num', type: 'numeric[]', values: [`'{12345678901234567890.123456789,NaN,0.10}'`], parquet: 'string', expected: asJson },
  { column: 'a_f8', type: 'float8[]', values: [`'{NaN,Infinity,0.1,5e-324}'`], parquet: 'string', expected: asJson },
  { column: 'a_tz', type: 'timestamptz[]', values: [`'{"2026-11-20 07:08:09.123456+05:45",infinity,"0044-03-15 00:00:00+00 BC"}'`], parquet: 'string', expected: asJson },
  { column: 'a_ts', type: 'timestamp[]', values: [`'{"2026-11-20 07:08:09.5",-infinity}'`], parquet: 'string', expected: asJson },
  { column: 'a_date', type: 'date[]', values: [`'{2026-11-20,infinity,NULL}'`], parquet: 'string', expected: asJson },
  { column: 'a_bytea', type: 'bytea[]', values: [`ARRAY['\\x00ff'::bytea, NULL]`], parquet: 'string', expected: asJson },
  { column: 'a_jsonb', type: 'jsonb[]', values: [`ARRAY['{"n": 12345678901234567890.123456789}'::jsonb, 'null'::jsonb, NULL]`], parquet: 'string', expected: asJson },
  { column: 'a_uuid', type: 'uuid[]', values: [`ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid]`], parquet: 'string', expected: asJson },
  { column: 'a_mood', type: 'mood[]', values: [`'{sad,"very happy"}'`], parquet: 'string', expected: asJson },
  { column: 'r_int', type: 'int4range', values: [`'[1,5)'`, `'empty'`, `'(,)'`, `'[3,]'`], parquet: 'string' },
  { column: 'r_num', type: 'numrange', values: [`'(1.50,2.25]'`], parquet: 'string' },
  { column: 'r_tz', type: 'tstzrange', values: [`'[2026-01-01 00:00:00+05:45,infinity)'`], parquet: 'string' },
  { column: 'r_ts', type: 'tsrange', values: [`'[2026-01-01 00:00:00,2026-01-02 00:00:00.5)'`], parquet: 'string' },
  { column: 'r_date', type: 'daterange', values: [`'[2026-01-01,2026-02-01]'`], parquet: 'string' },
  { column: 'mr', type: 'int4multirange', values: [`'{[1,3),[5,8)}'`, `'{}'`], parquet: 'string' },
  { column: 'mood', type: 'mood', values: [`'sad'`, `'very happy'`], parquet: 'string' },
  { column: 'dom', type: 'positive', values: ['7'] },
  { column: 'dom_dom', type: 'small_positive', values: ['8'] },
  { column: 'dom_num', type: 'price', values: ['12345678.90'] },
  { column: 'dom_txt', type: 'email', values: [`'a@b'`], parquet: 'string' },
  { column: 'comp', type: 'pair', values: [`ROW(1, 'with, comma and "quote"')`, `ROW(NULL, '')`], parquet: 'string' },
  { column: 'bits', type: 'bit(5)', values: [`B'10101'`], parquet: 'string' },
  { column: 'vbits', type: 'varbit', values: [`B'1'`, `B''`], parquet: 'string' },
  { column: 'cash', type: 'money', values: [`'$1,234.56'`, `'-0.01'`], parquet: 'string' },
  { column: 'ip', type: 'inet', values: [`'10.0.0.1/8'`, `'::1'`, `'192.168.0.1'`], parquet: 'string' },
  { column: 'net', type: 'cidr', values: [`'10.0.0.0/8'`], parquet: 'string' },
  { column: 'mac', type: 'macaddr', values: [`'08:00:2b:01:02:03'`], parquet: 'string' },
  { column: 'mac8', type: 'macaddr8', values: [`'08:00:2b:01:02:03:04:05'`], parquet: 'string' },
  { column: 'pt', type: 'point', values: [`'(1.5,-2)'`], parquet: 'string' },
  { column: 'poly', type: 'polygon', values: [`'((0,0),(1,0),(1,1))'`], parquet: 'string' },
  { column: 'circ', type: 'circle', values: [`'<(1,2),3>'`], parquet: 'string' },
  { column: 'vec', type: 'tsvector', values: [`to_tsvector('english', 'The quick brown fox''s')`], parquet: 'string' },
  { column: 'tsq', type: 'tsquery', values: [`'fat & (rat | cat)'`], parquet: 'string' },
  { column: 'lsn', type: 'pg_lsn', values: [`'FFFFFFFF/FFFFFFFE'`], parquet: 'string' },
  { column: 'o', type: 'oid', values: ['4294967295', '0', '2147483648'] },
  { column: 'x8', type: 'xid8', values: [`'18446744073709551615'`] },
  { column: 'path_json', type: 'jsonpath', values: [`'$.a[*] ? (@ > 1)'`], parquet: 'string' },
  { column: 'doc', type: 'xml', values: [`'<a b="1">x &amp; y</a>'`, `'<r/>'`], parquet: 'string', requires: 'xml' },
  { column: 'hs', type: 'hstore', values: [`'a=>1, "b c"=>NULL, "q\\"uote"=>"x"'`], parquet: 'string', requires: 'hstore' },
  { column: 'ci', type: 'citext', values: [`'MiXed'`], parquet: 'string', requires: 'citext' },
  { column: 'lt', type: 'ltree', values: [`'Top.Science.Astronomy'`], parquet: 'string', requires: 'ltree' },
];

const preparation = `
  CREATE TYPE mood AS ENUM ('sad', 'very happy');
  CREATE DOMAIN positive AS int CHECK (VALUE > 0);
  CREATE DOMAIN small_positive AS positive CHECK (VALUE < 100);
  CREATE DOMAIN price AS numeric(10,2);
  CREATE DOMAIN email AS text;
  CREATE TYPE pair AS (n int, t text);
`;

/** Settings under which PostgreSQL's own text is the canonical one. */
export const settings = `SET timezone = 'UTC'; SET datestyle = 'ISO, MDY'; SET intervalstyle = 'postgres'; SET extra_float_digits = 1; SET lc_monetary = 'C'; SET bytea_output = 'hex';`;

export interface Matrix {
  readonly cases: readonly TypeCase[];
  /** SQL that makes the table `matrix`. */
  readonly seed: string;
  /** SQL that gives one row a row of the table: `id`, and a canonical text or null per case. */
  readonly expected: string;
}

/** `has`: which of the `requires` of cases this server has. */
export function matrix(version: number, has: ReadonlySet<string>): Matrix {
  const kept = cases.filter((one) => (one.since ?? 0) <= version && (!one.requires || has.has(one.requires)));
  const rows = Math.max(...kept.map((one) => one.values.length));
  const columns = kept.map((one) => `"${one.column}" ${one.type}`).join(', ');
  const tuples = Array.from({ length: rows }, (_, i) => `(${[i, ...kept.map((one) => one.values[i] ?? 'NULL')].join(', ')})`);
  const extensions = kept.flatMap((one) => (one.requires && one.requires !== 'xml' ? [`CREATE EXTENSION IF NOT EXISTS ${one.requires};`] : []));
  const canonical = kept.map((one) => `(SELECT CASE WHEN c IS NOT DISTINCT FROM NULL THEN NULL ELSE ${one.expected ?? own} END FROM (SELECT m."${one.column}") AS value(c)) AS "${one.column}"`);
  return {
    cases: kept,
    seed: `${extensions.join('\n')}${preparation} CREATE TABLE matrix (id int PRIMARY KEY, ${columns}); ${tuples.map((tuple) => `INSERT INTO matrix VALUES ${tuple};`).join('\n')}`,
    expected: `SELECT id, ${canonical.join(', ')} FROM matrix m ORDER BY id`,
  };
}

/** One row as a reader saw it, in canonical text. */
export interface ReadRow {
  readonly id: number;
  readonly values: Readonly<Record<string, string | null>>;
  /** Fields that `_airbyte_meta.changes` tells about. */
  readonly changed: ReadonlySet<string>;
}

/** What differs between what PostgreSQL says and what a reader saw; empty = the same. */
export function differences(kept: readonly TypeCase[], expected: readonly Record<string, string | null>[], actual: readonly ReadRow[]): string[] {
  const found: string[] = [];
  for (const row of expected) {
    const id = Number(row['id']);
    const seen = actual.find((one) => one.id === id);
    if (!seen) {
      found.push(`row ${id} is missing`);
      continue;
    }
    for (const one of kept) {
      const want = row[one.column] ?? null;
      const got = seen.values[one.column];
      const told = seen.changed.has(one.column);
      const label = `${one.column} (${one.type}) row ${id}: ${one.values[id] ?? 'NULL'}`.slice(0, 120);
      const nulled = got === null && told;
      if (got === undefined) found.push(`${label}: no such column`);
      else if (one.unholdable?.includes(id)) {
        if (!nulled) found.push(`${label}: should be null with an entry in changes, is ${show(got)}, ${told ? '' : 'not '}told`);
      } else if (one.either?.includes(id) && nulled) continue;
      else if (told) found.push(`${label}: told as changed, is ${show(got)}`);
      else if (!same(one, want, got)) found.push(`${label}: PostgreSQL says ${show(want)}, Parquet ${show(got)}`);
    }
  }
  if (actual.length !== expected.length) found.push(`${actual.length} rows instead of ${expected.length}`);
  return found;
}

function same(one: TypeCase, want: string | null, got: string | null): boolean {
  if (want === null || got === null) return want === got;
  if (one.parquet === 'float64') return Object.is(Number(want), Number(got));
  if (one.parquet === 'float32') return Object.is(Math.fround(Number(want)), Math.fround(Number(got)));
  return want === got;
}

const show = (value: string | null): string => (value === null ? 'null' : JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}… (${value.length})` : value));
