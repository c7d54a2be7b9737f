import { describe, expect, test } from 'vitest';
import { parquetKeys, rowsOf } from '../harness/lake.js';
import { explain, workspace } from '../harness/workspace.js';

const sixtyThree = 'ö'.repeat(31) + 'x';

describe('odd names', () => {
  test('columns that are quoted, blank, digits, keywords, 63 bytes, ours or JSON arrive under their own names', async () => {
    const names = ['select', 'Mixed Case', ' ', '1', 'a"b', "it's", 'a.b', 'a,b', 'tab\there', 'emoji 🎉', sixtyThree, 'constructor', 'data', 'record', '"', '\\', 'x{y}', '%s', '$1'];
    const at = await workspace();
    const columns = names.map((name) => `"${name.replaceAll('"', '""')}" text`).join(', ');
    await at.database.query(`CREATE TABLE odd (id int PRIMARY KEY, ${columns})`);
    await at.database.query(`INSERT INTO odd VALUES (1, ${names.map((_, i) => `'value ${i}'`).join(', ')})`);
    const outcome = await at.sync();
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const [row] = await rowsOf(at.lake, 'public', 'odd');
    expect(names.map((name) => row![name])).toEqual(names.map((_, i) => `value ${i}`));
  });

  test('tables named select, of blanks, of digits, of dots, of 63 bytes and in two cases are streams of their own', async () => {
    const tables = ['select', ' ', '42', 'dot.ted', 'a/b', '..', sixtyThree, 'Users', 'users', 'USERS', '_tapline', '_tapline_x', 'q"uote', 'per%cent', 'emoji 🎉'];
    const at = await workspace();
    for (const [i, table] of tables.entries()) {
      await at.database.query(`CREATE TABLE "${table.replaceAll('"', '""')}" (id int PRIMARY KEY); INSERT INTO "${table.replaceAll('"', '""')}" VALUES (${i})`);
    }
    const outcome = await at.sync();
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary?.streams.map((stream) => stream.name).sort()).toEqual([...tables].sort());
    const escaped: Record<string, string> = { '..': '%2E%2E' };
    for (const [i, table] of tables.entries()) {
      const folder = escaped[table] ?? encodeURIComponent(table);
      if (table.startsWith('_tapline')) continue;
      const keys = await parquetKeys(at.lake, `public/${folder}/`);
      expect(keys.length, table).toBe(1);
      const rows = table === '..' ? 1 : (await rowsOf(at.lake, 'public', table)).filter((row) => row['id'] === i).length;
      expect(rows, table).toBe(1);
    }
    const own = await parquetKeys(at.lake);
    expect(own.filter((key) => /(^|\/)_tapline/.test(key)), 'a stream named as our own folder is escaped').toEqual([]);
    expect(own).toHaveLength(tables.length);
  });

  test('columns that differ in case only keep both values', async () => {
    const at = await workspace({ seed: `CREATE TABLE twins (id int PRIMARY KEY, "name" text, "Name" text, "NAME" text); INSERT INTO twins VALUES (1, 'low', 'Title', 'UP')` });
    const outcome = await at.sync();
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const [row] = await rowsOf(at.lake, 'public', 'twins');
    expect(Object.values(row!)).toEqual(expect.arrayContaining(['low', 'Title', 'UP']));
    expect(row!['name']).toBe('low');
  });

  test('a table without columns, and one with generated and dropped columns, do not stop the others', async () => {
    const at = await workspace({
      seed: `CREATE TABLE hollow (); INSERT INTO hollow DEFAULT VALUES; INSERT INTO hollow DEFAULT VALUES;
        CREATE TABLE worn (id int PRIMARY KEY, gone text, twice int GENERATED ALWAYS AS (id * 2) STORED); INSERT INTO worn VALUES (1, 'x'), (2, 'y');
        ALTER TABLE worn DROP COLUMN gone`,
    });
    const outcome = await at.sync();
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(await rowsOf(at.lake, 'public', 'hollow')).toHaveLength(2);
    expect((await rowsOf(at.lake, 'public', 'worn')).map((row) => [row['id'], 'gone' in row])).toEqual([[1, false], [2, false]]);
  });

  test('a selection takes SQL-quoted names, stars outside quotes and exclusions', async () => {
    const at = await workspace({
      seed: `CREATE SCHEMA odd; CREATE TABLE odd."dot.ted" (id int); CREATE TABLE odd."a*b" (id int); CREATE TABLE odd.ab (id int); CREATE TABLE odd."Quo""te" (id int);
        CREATE TABLE kept (id int); CREATE TABLE left_out (id int)`,
    });
    const selected = async (streams: string) => {
      const outcome = await at.sync(['--streams', streams, '--sync', 'selection']);
      expect(outcome.exitCode, explain(outcome)).toBe(0);
      return outcome.summary?.streams.map((stream) => `${stream.namespace}.${stream.name}`).sort();
    };
    expect(await selected('odd."dot.ted",odd."a*b"')).toEqual(['odd.a*b', 'odd.dot.ted']);
    expect(await selected('odd.a*,odd."Quo""te"')).toEqual(['odd.Quo"te', 'odd.a*b', 'odd.ab']);
    expect(await selected('public.*,!public.left_out')).toEqual(['public.kept']);
    const nothing = await at.sync(['--streams', 'public.keptt', '--sync', 'selection']);
    expect(nothing.exitCode, explain(nothing)).toBe(78);
    expect(nothing.summary?.error?.message).toMatch(/public\.kept\b/);
  });
});
