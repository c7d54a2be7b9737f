/** Tables written from RECORD lines by hand, and digested by the program as the runner starts it. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';

const bin = fileURLToPath(new URL('../../bin/destination-warehouse.js', import.meta.url));
const text = { type: ['null', 'string'], tapline_type: 'text' };
const columns = { id: { type: 'integer', tapline_type: 'int64' }, body: text };
const changes = {
  _ab_cdc_lsn: { type: ['integer', 'string'], tapline_type: 'int64' },
  _ab_cdc_updated_at: { type: ['null', 'string'], tapline_type: 'timestamptz' },
  _ab_cdc_deleted_at: { type: ['null', 'string'], tapline_type: 'timestamptz' },
  _tapline_order: text,
};
const descriptor = { name: 'orders', namespace: 'public' };

const replicated = (mode: 'append' | 'append_dedup', key = [['id']]) => ({
  stream: { ...descriptor, json_schema: { type: 'object', properties: { ...columns, ...changes } }, supported_sync_modes: ['incremental'], source_defined_cursor: true, source_defined_primary_key: key, tapline: { order: true } },
  sync_mode: 'incremental', destination_sync_mode: mode, cursor_field: [], primary_key: key, generation_id: 1, minimum_generation_id: 0,
});
const copied = {
  stream: { ...descriptor, json_schema: { type: 'object', properties: columns }, supported_sync_modes: ['full_refresh'], source_defined_primary_key: [['id']] },
  sync_mode: 'full_refresh', destination_sync_mode: 'append', primary_key: [['id']], generation_id: 1, minimum_generation_id: 0,
};

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
const generation = (phase: string, id: number, minimum: number): string =>
  `${JSON.stringify({ type: 'TAPLINE', tapline: { type: 'GENERATION', stream_descriptor: descriptor, generation_id: id, minimum_generation_id: minimum, phase } })}\n`;

class TestWarehouse {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tapline-digest-'));
  readonly #files: string[];
  #id = 0;

  constructor(configured: object, options: object = {}) {
    onTestFinished(() => rmSync(this.#folder, { recursive: true, force: true }));
    const file = (name: string, value: object): string => {
      const path = join(this.#folder, `${name}.json`);
      writeFileSync(path, JSON.stringify(value));
      return path;
    };
    const session = { version: 1, run_id: 'r', sync: 's', source: 'x', extensions: ['checkpoint', 'generation'], continuous: false, flush: { ms: 1_000_000 } };
    this.#files = ['--config', file('config', { engine: 'duckdb', path: join(this.#folder, 'warehouse.db'), ...options }), '--catalog', file('catalog', { streams: [configured] }), '--session', file('session', session)];
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

  /** The rows as they were before each position: `key=body`, and how often where it is not once. */
  rowsBefore(...positions: readonly (number | undefined)[]): string[][] {
    const all: string[][] = [];
    let rows: { values: string[]; columns: string; copies: number }[] = [];
    for (const answer of this.ask(...positions.map((before) => ({ ask: 'rows', stream: descriptor, bits: 0, ranges: [0], ...(before !== undefined && { before: String(before) }) })))) {
      if (answer.is === 'rows') rows.push(...(answer['rows'] as typeof rows));
      else {
        all.push(rows.map(({ values, columns: hashes, copies }) => `${values.join()}=${bodies.get(hashes.slice(8))}${copies === 1 ? '' : ` x${copies}`}`).sort());
        rows = [];
      }
    }
    return all;
  }

  /** What is said with the ranges, before each position. */
  notesBefore(...positions: readonly number[]): unknown[] {
    return this.ask(...positions.map((before) => ({ ask: 'ranges', stream: descriptor, bits: 4, before: String(before) }))).filter(({ is }) => is === 'done').map(({ notes }) => notes);
  }
}

/** By what a digest has of them. */
const bodies = new Map([...['one', 'two', 'uno', 'un', 'again', 'x', 'nine'].map((body) => [createHash('sha256').update(body).digest('hex').slice(0, 8), body] as const), ['--------', 'null']]);
const small: Change[] = [
  { id: 1, body: 'one', lsn: 100, sequence: 1 },
  { id: 2, body: 'two', lsn: 100, sequence: 2 },
  { id: 1, body: 'uno', lsn: 200, sequence: 2 },
  { id: 1, body: 'un', lsn: 200, sequence: 1 },
  { id: 2, lsn: 300, sequence: 1 },
  { id: 3, body: null, lsn: 300, sequence: 2 },
  { id: 2, body: 'again', lsn: 400, sequence: 1 },
  { id: 1, lsn: 500, sequence: 1 },
];

describe('a table of every change', () => {
  test('is folded by key to the last change before a position; deleted rows are gone', () => {
    const warehouse = new TestWarehouse(replicated('append')).write(small.slice(4).map(changeLine)).write(small.slice(0, 4).map(changeLine));
    expect(warehouse.rowsBefore(1000, 500, 200)).toEqual([['2=again', '3=null'], ['1=uno', '2=again', '3=null'], ['1=one', '2=two']]);
  });

  test('shows a change that came twice, also one that another has followed', () => {
    const warehouse = new TestWarehouse(replicated('append')).write([...small, small[0]!, small[5]!].map(changeLine));
    // The last one: of a row that is gone.
    expect(warehouse.rowsBefore(500, 1000)).toEqual([['1=uno x2', '2=again', '3=null x2'], ['1=null', '2=again', '3=null x2']]);
  });

  test('without a key cannot be digested, and says so; the next question is answered', () => {
    const answers = new TestWarehouse(replicated('append', [])).write(small.map(changeLine)).ask({ ask: 'ranges', stream: descriptor, bits: 0, before: '1000' }, { ask: 'states' });
    expect(answers.map(({ is }) => is)).toEqual(['failed', 'states']);
    expect(answers[0]).toMatchObject({ kind: 'config_error', message: expect.stringContaining('public.orders has no key') as string });
  });
});

describe('a merged table', () => {
  test.each([['deleted', {}], ['kept, but deleted', { deletes: 'soft' }], ['versions of a history', { history: 'scd2' }]])('counts the rows that live, whether others are %s', (_, options) => {
    const warehouse = new TestWarehouse(replicated('append_dedup'), options).write(small.map(changeLine));
    expect(warehouse.rowsBefore(1000)).toEqual([['2=again', '3=null']]);
  });

  test('says how many of its rows are newer than the position', () => {
    const warehouse = new TestWarehouse(replicated('append_dedup')).write(small.map(changeLine));
    expect(warehouse.notesBefore(1000, 400)).toEqual([[], [expect.stringContaining('1 rows changed after the source') as string]]);
  });

  test('that is being copied anew is what its readers see, and says so', () => {
    const warehouse = new TestWarehouse(replicated('append_dedup')).write(small.map(changeLine)).write([generation('begin', 2, 2), changeLine({ id: 9, body: 'nine', lsn: 600, sequence: 1 })]);
    expect(warehouse.rowsBefore(1000)).toEqual([['2=again', '3=null']]);
    expect(warehouse.notesBefore(1000)).toEqual([[expect.stringContaining('a copy of it is under way') as string]]);
  });
});

test('of versions the last one counts; the same version twice counts twice', () => {
  const warehouse = new TestWarehouse({ ...copied, sync_mode: 'incremental', cursor_field: ['body'] });
  warehouse.write([line({ id: 1, body: 'one' }), line({ id: 2, body: 'two' })]).write([line({ id: 1, body: 'uno' }), line({ id: 2, body: 'two' })]);
  expect(warehouse.rowsBefore(undefined)).toEqual([['1=uno', '2=two x2']]);
});

test('of appended copies the last one counts', () => {
  const warehouse = new TestWarehouse(copied);
  for (const id of [1, 2]) warehouse.write([generation('begin', id, 0), line({ id, body: 'x' }), generation('complete', id, 0)]);
  expect(warehouse.rowsBefore(undefined)).toEqual([['2=x']]);
});

test('says what it can hold, and the states that it holds', () => {
  const [opened] = new TestWarehouse(replicated('append')).write([]).ask({ ask: 'open' });
  expect(opened).toMatchObject({ is: 'opened', holds: { decimal_nan: false, time: [0, 86_399_999_999] } });
  expect((opened!['states'] as string[]).map((one) => (JSON.parse(one) as { global: object }).global)).toEqual([{ shared_state: { lsn: '0/1' }, stream_states: [] }]);
});
