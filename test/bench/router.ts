import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mixedTable, startBenchServer } from './bench-server.js';
import { measure, medianOf, type Measured } from './measure.js';
import { megabytes, printTable, saveResult, seconds } from './report.js';
import { summaryOf, syncArgs } from './tapline.js';

/** The runner alone, between a `cat` of prepared lines and a `cat` to nothing. */
export async function router({ rows = 1_000_000, repetitions = 5 }: { rows?: number; repetitions?: number } = {}): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    await writeLines(join(dir, 'records'), rows);
    const stream = { name: 'events', json_schema: { type: 'object', properties: {} }, supported_sync_modes: ['full_refresh'] };
    const message = (type: string, rest: object) => `${JSON.stringify({ type, ...rest })}\n`;
    const spec = message('SPEC', { spec: { connectionSpecification: { type: 'object' }, supported_destination_sync_modes: ['append', 'overwrite'] } });
    const status = message('CONNECTION_STATUS', { connectionStatus: { status: 'SUCCEEDED' } });
    const state = message('STATE', { state: { type: 'STREAM', stream: { stream_descriptor: { name: 'events' }, stream_state: { at: rows } } } });
    const complete = { type: 'STREAM_STATUS', emitted_at: 1, stream_status: { stream_descriptor: { name: 'events' }, status: 'COMPLETE' } };
    const files = { spec, status, state, catalog: message('CATALOG', { catalog: { streams: [stream] } }), complete: message('TRACE', { trace: complete }) };
    for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content);
    const source = await executable(dir, 'source', { spec: 'cat spec', check: 'cat status', discover: 'cat catalog', read: 'cat records state complete' });
    const destination = await executable(dir, 'destination', { spec: 'cat spec', check: 'cat status', write: 'cat >/dev/null; cat state' });
    const runs: { floor: Measured[]; runner: Measured[] } = { floor: [], runner: [] };
    await writeFile(join(dir, 'config.json'), '{}');
    for (let repetition = 0; repetition < repetitions; repetition++) {
      runs.floor.push(await measure('/bin/sh', ['-c', 'cat records | cat >/dev/null'], { cwd: dir }));
      await rm(join(dir, 'state-dir'), { recursive: true, force: true });
      const configs = ['--source-config', join(dir, 'config.json'), '--dest-config', join(dir, 'config.json')];
      runs.runner.push(await measure(process.execPath, syncArgs({ source, dest: destination, stateDir: join(dir, 'state-dir'), more: configs }), { cwd: dir }));
    }
    const { records, bytes } = summaryOf(runs.runner[0]?.stdout ?? '');
    const medians = { floor: medianOf(runs.floor), runner: medianOf(runs.runner) };
    console.log(`${records.toLocaleString('en')} lines, ${megabytes(bytes)}; medians of ${repetitions}\n`);
    printTable([
      ['', 'wall', 'MB/s', 'CPU of the tree', 'peak PSS'],
      ...Object.entries(medians).map(([name, m]) => [name, seconds(m.wallSeconds), (bytes / m.wallSeconds / 1e6).toFixed(0), seconds(m.cpuSeconds), megabytes(m.peakPssBytes)]),
    ]);
    await saveResult('router', { records, bytes, medians });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function executable(dir: string, name: string, verbs: Record<string, string>): Promise<string> {
  const file = join(dir, name);
  const cases = Object.entries(verbs).map(([verb, does]) => `${verb}) ${does} ;;`).join('\n  ');
  await writeFile(file, `#!/bin/sh\ncd '${dir}'\ncase "$1" in\n  ${cases}\n  *) exit 1 ;;\nesac\n`);
  await chmod(file, 0o755);
  return file;
}

/** RECORD lines of the mixed table, as the server itself writes them. */
async function writeLines(file: string, rows: number): Promise<void> {
  const server = await startBenchServer();
  try {
    const { url } = await mixedTable(server, rows);
    const line = `'{"type":"RECORD","record":{"stream":"events","emitted_at":1730000000000,"data":' || row_to_json(e)::text || '}}'`;
    const sql = `COPY (SELECT ${line} FROM events e) TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')`;
    const script = fileURLToPath(new URL('copy-out.js', import.meta.url));
    const quoted = [process.execPath, script, url, sql].map((text) => `'${text.replaceAll("'", `'\\''`)}'`).join(' ');
    await measure('/bin/sh', ['-c', `${quoted} > '${file}'`], { memory: false });
  } finally {
    await server.stop();
  }
}
