/** Our source under somebody else's platform (PyAirbyte), and every message of ours against the protocol's own models. */
import { execFile, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { shop } from '../e2e/seed.js';
import { matrix, settings } from '../e2e/types-matrix.js';
import { workspace } from '../harness/workspace.js';
import type { TestDatabase } from '../services/postgres.js';
import { workspaceRoot } from '../services/workspace.js';
import { pythonProgram, pythonScript } from './python.js';

const run = promisify(execFile);
const bin = (name: string) => join(workspaceRoot, 'connectors', name, 'bin', `${name}.js`);
beforeAll(async () => void (await pythonProgram('pyairbyte', 'python')), 900_000);

const configOf = (database: TestDatabase) =>
  JSON.stringify({ host: database.host, port: database.port, database: database.name, user: database.user, password: database.password, schemas: ['public'] });

describe('our source under PyAirbyte', () => {
  test('check, discover, full refresh and incremental: every row, and the second run nothing new', async () => {
    const at = await workspace({ seed: shop });
    const config = join(at.directory, 'config.json');
    await writeFile(config, configOf(at.database));
    const stdout = await pythonScript('pyairbyte', 'pyairbyte_read.py', [bin('source-postgres'), config, join(at.directory, 'cache')]);
    const told = JSON.parse(stdout.split('TOLD ').at(-1)!) as { streams: string[]; runs: { processed: number; rows: Record<string, number> }[]; customer: Record<string, string> };
    expect(told.streams.sort()).toEqual(['customers', 'nothing_yet', 'orders']);
    expect(told.runs).toEqual([
      { processed: 500, rows: { customers: 500, nothing_yet: 0 } },
      { processed: 3000, rows: { orders: 3000 } },
      { processed: 0, rows: { orders: 3000 } },
    ]);
    expect(told.customer).toMatchObject({ name: 'Customer 7', vip: 'True', credit: '8.75', created: expect.stringMatching(/^2026-01-01 07:00:00/) as string });
  });
});

describe('what we print is the protocol, says its own model', () => {
  /** By name: what each program printed, and how many messages of each type that is. */
  const validate = async (printed: Readonly<Record<string, string>>): Promise<unknown> => {
    const python = await pythonProgram('pyairbyte', 'python');
    const child = spawn(python, [join(import.meta.dirname, 'validate_messages.py')], { stdio: ['pipe', 'pipe', 'pipe'] });
    let [told, errors] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (told += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.stdin.end(JSON.stringify(printed));
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code, errors).toBe(0);
    return JSON.parse(told);
  };

  test('source and destination, all verbs, without a session: nothing of the extensions is in it', async () => {
    const at = await workspace({ seed: `${settings} ${matrix(18, new Set()).seed}` });
    const file = async (name: string, content: unknown) => {
      const path = join(at.directory, name);
      await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
      return path;
    };
    const source = await file('source.json', configOf(at.database));
    const destination = await file('destination.json', { path: at.lake.uri });
    const say = async (connector: string, args: string[]) => (await run(process.execPath, [bin(connector), ...args], { maxBuffer: 1 << 28 })).stdout;

    const specs = { sourceSpec: await say('source-postgres', ['spec']), destinationSpec: await say('destination-s3', ['spec']) };
    const checks = { sourceCheck: await say('source-postgres', ['check', '--config', source]), destinationCheck: await say('destination-s3', ['check', '--config', destination]) };
    const discovered = await say('source-postgres', ['discover', '--config', source]);

    const line = discovered.split('\n').find((one) => one.includes('"CATALOG"'))!;
    const { catalog } = JSON.parse(line) as { catalog: { streams: object[] } };
    const configured = await file('catalog.json', { streams: catalog.streams.map((stream) => ({ stream, sync_mode: 'full_refresh', destination_sync_mode: 'append', generation_id: 1, minimum_generation_id: 0, sync_id: 1 })) });
    const read = await say('source-postgres', ['read', '--config', source, '--catalog', configured]);
    expect(read).not.toContain('TAPLINE');
    expect(read).not.toContain('_tapline_order');

    const written = run(process.execPath, [bin('destination-s3'), 'write', '--config', destination, '--catalog', configured], { maxBuffer: 1 << 28 });
    written.child.stdin!.end(`${read}${JSON.stringify({ type: 'TRACE', trace: { type: 'STREAM_STATUS', emitted_at: 1, stream_status: { stream_descriptor: { name: 'matrix', namespace: 'public' }, status: 'COMPLETE' } } })}\n`);
    const echoed = (await written).stdout;
    expect(echoed).not.toContain('TAPLINE');
    const some = expect.any(Number) as number;
    expect(await validate({ ...specs, ...checks, discovered, read, echoed })).toMatchObject({
      sourceSpec: { SPEC: 1 }, destinationSpec: { SPEC: 1 }, sourceCheck: { CONNECTION_STATUS: 1 }, destinationCheck: { CONNECTION_STATUS: 1 },
      discovered: { CATALOG: 1 }, read: { RECORD: 14, STATE: some, TRACE: some }, echoed: { STATE: some },
    });
  });
});
