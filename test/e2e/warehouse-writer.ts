/**
 * `destination-warehouse write` without a session, as somebody else's platform runs it: messages of the plain protocol in, states out.
 * `startWriter` is the executable; `write` and `attempt` run the same in the test's own process, which starts five times as fast.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { ConfiguredCatalog, exitCodeOf, LineWriter, toConnectorError } from '@tapline/protocol';
import { Output } from '@tapline/sdk';
import { destination } from '../../connectors/destination-warehouse/src/destination.js';
import { until } from '../harness/processes.js';
import type { TestWarehouse } from '../harness/warehouse.js';
import { workspaceRoot } from '../services/workspace.js';

const program = join(workspaceRoot, 'connectors', 'destination-warehouse', 'bin', 'destination-warehouse.js');
/** All records were read then: 2026-11-20T07:08:09.123Z. */
export const emittedAt = 1_795_158_489_123;

export type Property = Readonly<Record<string, unknown>>;

export const integer: Property = { type: ['null', 'integer'] };
export const number: Property = { type: ['null', 'number'] };
export const string: Property = { type: ['null', 'string'] };
export const boolean: Property = { type: ['null', 'boolean'] };
export const instant: Property = { type: ['null', 'string'], format: 'date-time', airbyte_type: 'timestamp_with_timezone' };

/** What the catalog says of a stream beside its name and columns. */
export interface Configured {
  readonly mode?: 'append' | 'overwrite' | 'append_dedup';
  readonly key?: readonly string[];
  readonly cursor?: string;
  /** Older platforms know none. */
  readonly generation?: number;
  readonly minimum?: number;
  readonly sync?: number;
}

/** A stream of a catalog, and the lines that are about it. */
export class Stream {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly properties: Readonly<Record<string, Property>>;
  /** As it stands in the configured catalog. */
  readonly configured: object;

  constructor(namespace: string | undefined, name: string, properties: Readonly<Record<string, Property>>, configured: Configured = {}) {
    this.name = name;
    this.namespace = namespace;
    this.properties = properties;
    const { mode = 'append', key, cursor, generation, minimum = 0, sync = 1 } = configured;
    this.configured = {
      stream: { name, ...(namespace !== undefined && { namespace }), json_schema: { type: 'object', properties }, supported_sync_modes: ['full_refresh', 'incremental'] },
      sync_mode: 'incremental', destination_sync_mode: mode, sync_id: sync,
      ...(generation !== undefined && { generation_id: generation, minimum_generation_id: minimum }), ...(key && { primary_key: key.map((name) => [name]) }), ...(cursor !== undefined && { cursor_field: [cursor] }),
    };
  }

  /** The same table, otherwise configured, with other columns if they are given. */
  as(configured: Configured, properties = this.properties): Stream {
    return new Stream(this.namespace, this.name, properties, configured);
  }

  record(data: Readonly<Record<string, unknown>>): string {
    return this.recordText(JSON.stringify(data));
  }

  /** `data` as JSON text: numbers that JavaScript would damage. */
  recordText(data: string): string {
    const { name: stream, namespace } = this;
    return `{"type":"RECORD","record":{${JSON.stringify({ stream, namespace }).slice(1, -1)},"data":${data},"emitted_at":${emittedAt}}}\n`;
  }

  state(value: unknown): string {
    return line({ type: 'STATE', state: { type: 'STREAM', stream: { stream_descriptor: this.#descriptor(), stream_state: { at: value } } } });
  }

  complete(status = 'COMPLETE'): string {
    return line({ type: 'TRACE', trace: { type: 'STREAM_STATUS', emitted_at: emittedAt, stream_status: { stream_descriptor: this.#descriptor(), status } } });
  }

  #descriptor(): object {
    return { name: this.name, ...(this.namespace !== undefined && { namespace: this.namespace }) };
  }
}

const line = (message: object): string => `${JSON.stringify(message)}\n`;

/** The records, one STATE and COMPLETE: what an orderly sync of one stream sends. */
export const whole = (stream: Stream, rows: readonly Readonly<Record<string, unknown>>[], state: unknown = rows.length): string =>
  [...rows.map((row) => stream.record(row)), stream.state(state), stream.complete()].join('');

export interface Written {
  readonly exitCode: number | null;
  /** What the STATEs that came back say, in order; of that stream alone, if one is given. */
  states(of?: Stream): readonly unknown[];
  /** Records that they count. */
  counted(of?: Stream): number;
  readonly errors: readonly { readonly message: string; readonly failure_type: string }[];
  readonly warnings: readonly string[];
  /** All that was printed, for a test that fails. */
  readonly told: string;
}

export interface Writer {
  send(...lines: readonly string[]): void;
  /** Until so many STATEs came back. */
  untilStates(count: number): Promise<void>;
  /** No more input. */
  end(): Promise<Written>;
  kill(): Promise<Written>;
}

export interface WriteRequest {
  readonly streams: readonly Stream[];
  /** A platform gives each of its connections a name of its own. */
  readonly sync: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

interface Message {
  readonly type?: string;
  readonly state?: { readonly stream?: { readonly stream_descriptor: { readonly name: string; readonly namespace?: string }; readonly stream_state?: { readonly at?: unknown } }; readonly destinationStats?: { readonly recordCount?: number } };
  readonly trace?: { readonly error?: { readonly message: string; readonly failure_type: string } };
  readonly log?: { readonly level: string; readonly message: string };
}

export async function startWriter(at: TestWarehouse, { streams, sync, options = {} }: WriteRequest): Promise<Writer> {
  const folder = await mkdtemp(join(tmpdir(), 'tapline-write-'));
  const file = async (name: string, value: object): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, JSON.stringify(value));
    return path;
  };
  const config = await file('config.json', { ...at.config, sync_name: sync, ...options });
  const catalog = await file('catalog.json', { streams: streams.map((stream) => stream.configured) });
  const child = spawn(process.execPath, [program, 'write', '--config', config, '--catalog', catalog], { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  child.stdin.on('error', () => undefined);
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  const done = ended(child);
  const written = async (): Promise<Written> => {
    const exitCode = await done;
    clearTimeout(timer);
    await rm(folder, { recursive: true, force: true });
    return writtenOf(exitCode, out, err);
  };
  return {
    send: (...lines) => void child.stdin.write(lines.join('')),
    untilStates: (count) =>
      until(`${count} states come back`, () => {
        if (child.exitCode !== null) throw new Error(`it ended before that:\n${err}${out}`);
        return writtenOf(null, out, err).states().length >= count;
      }).then(() => undefined),
    end: () => {
      child.stdin.end();
      return written();
    },
    kill: () => {
      child.kill('SIGKILL');
      return written();
    },
  };
}

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });

function writtenOf(exitCode: number | null, out: string, err: string): Written {
  // Of a process that runs, the last line may be half a line.
  const messages = out.split('\n').slice(0, -1).filter(Boolean).map((text) => JSON.parse(text) as Message);
  const statesOf = (of?: Stream) =>
    messages.flatMap(({ type, state }) => {
      const about = state?.stream?.stream_descriptor;
      return type === 'STATE' && state && (!of || (about?.name === of.name && about.namespace === of.namespace)) ? [state] : [];
    });
  return {
    exitCode,
    states: (of) => statesOf(of).map((state) => state.stream?.stream_state?.at),
    counted: (of) => statesOf(of).reduce((sum, state) => sum + (state.destinationStats?.recordCount ?? 0), 0),
    errors: messages.flatMap((message) => message.trace?.error ?? []),
    warnings: messages.flatMap((message) => (message.log?.level === 'WARN' ? [message.log.message] : [])),
    told: `exit ${exitCode}\n${err.slice(-3000)}\n${out.slice(-3000)}`,
  };
}

/** However it ends. */
export async function attempt(at: TestWarehouse, { streams, sync, options = {}, lines }: WriteRequest & { readonly lines: string | readonly string[] }): Promise<Written> {
  const scratch = await mkdtemp(join(tmpdir(), 'tapline-write-'));
  const stdout = new PassThrough();
  let out = '';
  stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  const output = new Output(new LineWriter(stdout));
  let exitCode = 0;
  try {
    await destination.consume!({
      config: destination.config.parse({ ...at.config, sync_name: sync, staging_dir: scratch, ...options }),
      catalog: ConfiguredCatalog.parse({ streams: streams.map((stream) => stream.configured) }),
      session: undefined, input: Readable.from([Buffer.from([lines].flat().join(''))]), output, signal: new AbortController().signal,
      log: (level, message) => void output.log(level, message),
    });
  } catch (error) {
    exitCode = exitCodeOf(toConnectorError(error));
    await output.error(error);
  }
  const read = new Promise((resolve) => stdout.once('end', resolve));
  stdout.end();
  await read;
  await rm(scratch, { recursive: true, force: true });
  return writtenOf(exitCode, out, '');
}

/** Throws where it does not end as it should. */
export async function write(at: TestWarehouse, request: WriteRequest & { readonly lines: string | readonly string[] }): Promise<Written> {
  const written = await attempt(at, request);
  if (written.exitCode !== 0) throw new Error(`destination-warehouse failed: ${written.told}`);
  return written;
}
