/** A destination written from RECORD lines by hand, and digested by the program as the runner starts it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const text = { type: ['null', 'string'], tapline_type: 'text' };
const columns = { id: { type: 'integer', tapline_type: 'int64' }, body: text };
const changes = {
  _ab_cdc_lsn: { type: ['integer', 'string'], tapline_type: 'int64' },
  _ab_cdc_updated_at: { type: ['null', 'string'], tapline_type: 'timestamptz' },
  _ab_cdc_deleted_at: { type: ['null', 'string'], tapline_type: 'timestamptz' },
  _tapline_order: text,
};
export const descriptor = { name: 'orders', namespace: 'public' };

/** The stream as change data capture has it. */
export const replicated = (mode: 'append' | 'append_dedup', key = [['id']]): object => ({
  stream: { ...descriptor, json_schema: { type: 'object', properties: { ...columns, ...changes } }, supported_sync_modes: ['incremental'], source_defined_cursor: true, source_defined_primary_key: key, tapline: { order: true } },
  sync_mode: 'incremental', destination_sync_mode: mode, cursor_field: [], primary_key: key, generation_id: 1, minimum_generation_id: 0,
});

/** The stream copied, and appended. */
export const copied = (mode: 'full_refresh' | 'incremental', name = descriptor.name): object => ({
  stream: { ...descriptor, name, json_schema: { type: 'object', properties: columns }, supported_sync_modes: ['full_refresh', 'incremental'], source_defined_primary_key: [['id']] },
  sync_mode: mode, destination_sync_mode: 'append', ...(mode === 'incremental' && { cursor_field: ['body'] }), primary_key: [['id']], generation_id: 1, minimum_generation_id: 0,
});

export interface Change {
  readonly id: number;
  /** Undefined: deleted. */
  readonly body?: string | null;
  readonly lsn: number;
  readonly sequence: number;
}

/** Three keys, each with what changes can be: twice in a transaction and not in its order, deleted, and back again. */
export const small: readonly Change[] = [
  { id: 1, body: 'one', lsn: 100, sequence: 1 },
  { id: 2, body: 'two', lsn: 100, sequence: 2 },
  { id: 1, body: 'uno', lsn: 200, sequence: 2 },
  { id: 1, body: 'un', lsn: 200, sequence: 1 },
  { id: 2, lsn: 300, sequence: 1 },
  { id: 3, body: null, lsn: 300, sequence: 2 },
  { id: 2, body: 'again', lsn: 400, sequence: 1 },
];

export const line = (data: object, stream = descriptor.name): string => `${JSON.stringify({ type: 'RECORD', record: { stream, namespace: 'public', emitted_at: 1_760_000_000_000, data } })}\n`;
const hex = (n: number): string => n.toString(16).padStart(16, '0');
export const changeLine = ({ id, body, lsn, sequence }: Change): string => line({
  id, ...(body !== undefined && { body }), _ab_cdc_lsn: lsn, _ab_cdc_updated_at: '2026-11-20T07:00:00+00:00',
  _ab_cdc_deleted_at: body === undefined ? '2026-11-20T07:00:00+00:00' : null, _tapline_order: hex(lsn) + hex(sequence),
});
const state = (id: number): string => `{"type":"STATE","state":{"id":${id},"type":"GLOBAL","global":{"shared_state":{"lsn":"0/${id}"},"stream_states":[]}}}\n`;

export interface Answer {
  readonly is: string;
  readonly [key: string]: unknown;
}

export class Digested {
  readonly #bin: string;
  readonly #files: readonly string[];
  #id = 0;

  /** `bin`: the destination's executable. `config`: of a folder that goes with the test. */
  constructor(bin: string, configured: readonly object[], config: (folder: string) => object) {
    const folder = mkdtempSync(join(tmpdir(), 'tapline-digest-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const file = (name: string, value: object): string => {
      const path = join(folder, `${name}.json`);
      writeFileSync(path, JSON.stringify(value));
      return path;
    };
    const session = { version: 1, run_id: 'r', sync: 's', source: 'x', extensions: ['checkpoint', 'generation'], continuous: false, flush: { ms: 1_000_000 } };
    this.#bin = bin;
    this.#files = ['--config', file('config', config(folder)), '--catalog', file('catalog', { streams: configured }), '--session', file('session', session)];
  }

  /** One run, and one commit. */
  write(lines: readonly string[]): this {
    const stdout = this.#run(['write'], [...lines, state(++this.#id)]);
    if (!stdout.includes('"STATE"')) throw new Error(`write did not commit: ${stdout}`);
    return this;
  }

  ask(...requests: readonly object[]): Answer[] {
    const stdout = this.#run(['tool', 'digest'], requests.map((request) => `${JSON.stringify(request)}\n`));
    return stdout.split('\n').filter(Boolean).map((one) => (JSON.parse(one) as { tapline: { result: Answer } }).tapline.result);
  }

  #run(command: readonly string[], input: readonly string[]): string {
    const { status, stdout } = spawnSync(process.execPath, [this.#bin, ...command, ...this.#files], { input: input.join(''), encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}: ${stdout}`);
    return stdout;
  }
}

/** What every destination answers that was written once, with nothing: what it can hold, and the states that it holds. */
export const opening = {
  opened: { is: 'opened', holds: { decimal_nan: false, time: [0, 86_399_999_999] } },
  states: [{ shared_state: { lsn: '0/1' }, stream_states: [] }],
};
export const statesOf = (opened: Answer | undefined): unknown[] => (opened!['states'] as string[]).map((one) => (JSON.parse(one) as { global: object }).global);
