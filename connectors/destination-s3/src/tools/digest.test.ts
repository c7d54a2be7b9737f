/** Lakes written from RECORD lines by hand, and digested by the program as the runner starts it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';

const bin = fileURLToPath(new URL('../../bin/destination-s3.js', import.meta.url));
const text = { type: ['null', 'string'], tapline_type: 'text' };
const columns = { id: { type: 'integer', tapline_type: 'int64' }, body: text };
const changes = {
  _ab_cdc_lsn: { type: ['integer', 'string'], tapline_type: 'int64' },
  _ab_cdc_updated_at: { type: ['null', 'string'], tapline_type: 'timestamptz' },
  _ab_cdc_deleted_at: { type: ['null', 'string'], tapline_type: 'timestamptz' },
  _tapline_order: text,
};
const descriptor = { name: 'orders', namespace: 'public' };

const replicated = (key = [['id']]) => ({
  stream: { ...descriptor, json_schema: { type: 'object', properties: { ...columns, ...changes } }, supported_sync_modes: ['incremental'], source_defined_cursor: true, source_defined_primary_key: key, tapline: { order: true } },
  sync_mode: 'incremental', destination_sync_mode: 'append', cursor_field: [], primary_key: key, generation_id: 1, minimum_generation_id: 0,
});
const plain = (mode: 'full_refresh' | 'incremental') => ({
  stream: { ...descriptor, json_schema: { type: 'object', properties: columns }, supported_sync_modes: ['full_refresh', 'incremental'], source_defined_primary_key: [['id']] },
  sync_mode: mode, destination_sync_mode: 'append', ...(mode === 'incremental' && { cursor_field: ['body'] }), primary_key: [['id']], generation_id: 1, minimum_generation_id: 0,
});

interface Change {
  readonly id: number;
  /** Undefined: deleted. */
  readonly body?: string | null;
  readonly lsn: number;
  readonly sequence: number;
}

const line = (data: object): string => `${JSON.stringify({ type: 'RECORD', record: { stream: 'orders', namespace: 'public', emitted_at: 1_760_000_000_000, data } })}\n`;
const hex = (n: number): string => n.toString(16).padStart(16, '0');
const changeLine = ({ id, body, lsn, sequence }: Change): string => line({
  id, ...(body !== undefined && { body }), _ab_cdc_lsn: lsn, _ab_cdc_updated_at: '2026-11-20T07:00:00+00:00',
  _ab_cdc_deleted_at: body === undefined ? '2026-11-20T07:00:00+00:00' : null, _tapline_order: hex(lsn) + hex(sequence),
});
const state = (id: number): string => `{"type":"STATE","state":{"id":${id},"type":"GLOBAL","global":{"shared_state":{"lsn":"0/${id}"},"stream_states":[]}}}\n`;

class TestLake {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tapline-digest-'));
  readonly #files: string[];
  #id = 0;

  constructor(configured: object) {
    onTestFinished(() => rmSync(this.#folder, { recursive: true, force: true }));
    const file = (name: string, value: object): string => {
      const path = join(this.#folder, `${name}.json`);
      writeFileSync(path, JSON.stringify(value));
      return path;
    };
    const session = { version: 1, run_id: 'r', sync: 's', source: 'x', extensions: ['checkpoint', 'generation'], continuous: false, flush: { ms: 1_000_000 } };
    this.#files = ['--config', file('config', { path: join(this.#folder, 'lake') }), '--catalog', file('catalog', { streams: [configured] }), '--session', file('session', session)];
  }

  /** One run, and one commit. */
  write(lines: readonly string[]): this {
    const { status, stdout } = spawnSync(process.execPath, [bin, 'write', ...this.#files], { input: [...lines, state(++this.#id)].join(''), encoding: 'utf8' });
    if (status !== 0 || !stdout.includes('"STATE"')) throw new Error(`write ended with ${status}: ${stdout}`);
    return this;
  }

  ask(...requests: readonly object[]): { is: string; [key: string]: unknown }[] {
    const { status, stdout } = spawnSync(process.execPath, [bin, 'tool', 'digest', ...this.#files], { input: requests.map((request) => `${JSON.stringify(request)}\n`).join(''), encoding: 'utf8' });
    if (status !== 0) throw new Error(`digest ended with ${status}: ${stdout}`);
    return stdout.split('\n').filter(Boolean).map((one) => (JSON.parse(one) as { tapline: { result: { is: string } } }).tapline.result);
  }

  ranges(bits: number, before?: number): unknown[] {
    return this.ask({ ask: 'ranges', stream: descriptor, bits, ...(before !== undefined && { before: String(before) }) }).flatMap(({ is, ranges }) => (is === 'ranges' ? (ranges as unknown[]) : []));
  }

  /** Keys with their copies. */
  keys(before?: number): string[] {
    const answers = this.ask({ ask: 'rows', stream: descriptor, bits: 0, ranges: [0], ...(before !== undefined && { before: String(before) }) });
    return answers.flatMap(({ is, rows }) => (is === 'rows' ? (rows as { values: string[]; copies: number }[]) : [])).map(({ values, copies }) => `${values.join()} x${copies}`).sort();
  }
}

describe('a lake of changes', () => {
  const small: Change[] = [
    { id: 1, body: 'one', lsn: 100, sequence: 1 },
    { id: 2, body: 'two', lsn: 100, sequence: 2 },
    { id: 1, body: 'uno', lsn: 200, sequence: 2 },
    { id: 1, body: 'un', lsn: 200, sequence: 1 },
    { id: 2, lsn: 300, sequence: 1 },
    { id: 3, body: null, lsn: 300, sequence: 2 },
    { id: 2, body: 'again', lsn: 400, sequence: 1 },
  ];
  const folded = (rows: Record<number, string | null>) => new TestLake(plain('full_refresh')).write(Object.entries(rows).map(([id, body]) => line({ id: Number(id), body }))).ranges(4);

  test('is folded by key to the last change in the order of the log, whatever the order of the files; deleted rows are gone', () => {
    const lake = new TestLake(replicated()).write(small.slice(4).map(changeLine)).write(small.slice(0, 4).map(changeLine));
    expect(lake.ranges(4, 1000)).toEqual(folded({ 1: 'uno', 2: 'again', 3: null }));
    expect(lake.keys(1000)).toEqual(['1 x1', '2 x1', '3 x1']);
  });

  test('before a position is as it was then: what committed at it or later does not count', () => {
    const lake = new TestLake(replicated()).write(small.map(changeLine));
    expect(lake.ranges(4, 101)).toEqual(folded({ 1: 'one', 2: 'two' }));
    expect(lake.ranges(4, 200)).toEqual(lake.ranges(4, 101));
    expect(lake.ranges(4, 201)).toEqual(folded({ 1: 'uno', 2: 'two' }));
    expect(lake.ranges(4, 301)).toEqual(folded({ 1: 'uno', 3: null }));
  });

  test('shows a change that came twice, also one that another has followed', () => {
    const lake = new TestLake(replicated()).write(small.map(changeLine)).write([changeLine(small[0]!), changeLine(small[5]!)]);
    expect(lake.keys(1000)).toEqual(['1 x2', '2 x1', '3 x2']);
  });

  test('under random changes equals the table that they make', () => {
    // A fixed generator: the same test every time.
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 48_271) % 2_147_483_647) % n;
    const log: Change[] = [];
    for (let lsn = 100; log.length < 3000; lsn += 10) {
      for (let sequence = 1; sequence <= 1 + random(20); sequence++) log.push({ id: random(200), ...(random(4) > 0 && { body: `v${random(1000)}` }), lsn, sequence });
    }
    const lake = new TestLake(replicated());
    for (let at = 0; at < log.length; at += 1000) lake.write(log.slice(at, at + 1000).map(changeLine));
    const position = log[2000]!.lsn;
    const table: Record<number, string | null> = {};
    for (const { id, body, lsn } of log) {
      if (lsn >= position) continue;
      if (body === undefined) delete table[id];
      else table[id] = body;
    }
    expect(lake.ranges(4, position)).toEqual(folded(table));
  });

  test('of a table without a key cannot be digested, and says so; the next question is answered', () => {
    const answers = new TestLake(replicated([])).write(small.map(changeLine)).ask({ ask: 'ranges', stream: descriptor, bits: 0, before: '1000' }, { ask: 'states' });
    expect(answers.map(({ is }) => is)).toEqual(['failed', 'states']);
    expect(answers[0]).toMatchObject({ kind: 'config_error', message: expect.stringContaining('public.orders has no key') as string });
  });
});

describe('a lake of versions', () => {
  test('counts the last version of a row; the same version twice counts twice', () => {
    const lake = new TestLake(plain('incremental')).write([line({ id: 1, body: 'a' }), line({ id: 2, body: 'a' })]).write([line({ id: 1, body: 'b' })]);
    expect(lake.ranges(4)).toEqual(new TestLake(plain('full_refresh')).write([line({ id: 1, body: 'b' }), line({ id: 2, body: 'a' })]).ranges(4));
    expect(lake.write([line({ id: 2, body: 'a' })]).keys()).toEqual(['1 x1', '2 x2']);
  });
});

describe('checksums', () => {
  const of = (...rows: readonly object[]) => new TestLake(plain('full_refresh')).write(rows.map(line)).ranges(0);

  test('do not depend on the order of rows, and do on each value and its place', () => {
    const both = of({ id: 1, body: 'a' }, { id: 2, body: 'b' });
    expect(of({ id: 2, body: 'b' }, { id: 1, body: 'a' })).toEqual(both);
    expect(of({ id: 1, body: 'b' }, { id: 2, body: 'a' })).not.toEqual(both);
  });

  test('tell null from empty text, and text from what looks like a delimiter', () => {
    const digests = [of({ id: 1, body: null }), of({ id: 1, body: '' }), of({ id: 1, body: '-;' }), of({ id: 1, body: '=0:;' }), of({ id: 1, body: '!;' })].map((ranges) => JSON.stringify(ranges));
    expect(new Set(digests).size).toBe(5);
  });
});

test('says what it can hold, and the states that it holds', () => {
  const [opened] = new TestLake(replicated()).write([]).ask({ ask: 'open' });
  expect(opened).toMatchObject({ is: 'opened', holds: { decimal_nan: false, time: [0, 86_399_999_999] } });
  expect((opened!['states'] as string[]).map((one) => (JSON.parse(one) as { global: object }).global)).toEqual([{ shared_state: { lsn: '0/1' }, stream_states: [] }]);
});
