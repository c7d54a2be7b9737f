import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mixedTable, startBenchServer } from './bench-server.js';
import { comparisonTable, keptRuns, mediansOf, takeTurns, type Contestant } from './comparison.js';
import { copyOut } from './hand.js';
import { measure } from './measure.js';
import { count, megabytes, report } from './report.js';
import { summaryOf, syncArgs } from './tapline.js';

export interface RouterOptions {
  readonly rows?: number;
  readonly repetitions?: number;
  /** Default: yes. */
  readonly save?: boolean;
}

/** The runner alone, through the pipes of a sync: a `cat` of prepared lines at one end, a `cat` to nothing at the other. */
export async function router({ rows = 1_000_000, repetitions = 5, save = true }: RouterOptions = {}): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    await writeLines(join(dir, 'records'), rows);
    await writeFile(join(dir, 'none'), '');
    await writeMessages(dir, rows);
    const destination = await executable(dir, 'destination', { spec: 'cat spec', check: 'cat status', write: 'cat >/dev/null; cat state' });
    const runner = async (records: string): Promise<Contestant> => {
      const source = await executable(dir, `source-${records}`, { spec: 'cat spec', check: 'cat status', discover: 'cat catalog', read: `cat ${records} state complete` });
      const configs = ['--source-config', join(dir, 'config.json'), '--dest-config', join(dir, 'config.json')];
      const stateDir = join(dir, 'state-dir');
      return {
        prepare: () => rm(stateDir, { recursive: true, force: true }),
        run: () => measure(process.execPath, syncArgs({ source, dest: destination, stateDir, more: configs }), { cwd: dir }),
      };
    };
    const names = { floor: 'cat into cat', empty: 'runner, no lines', runner: 'runner' };
    const runs = await takeTurns({
      [names.floor]: { run: () => measure('/bin/sh', ['-c', 'cat records | cat >/dev/null'], { cwd: dir }) },
      [names.empty]: await runner('none'),
      [names.runner]: await runner('records'),
    }, { repetitions });
    const { records, bytes } = summaryOf(runs[names.runner]![0]!.stdout);
    if (records !== rows) throw new Error(`${rows} lines were written, ${records} forwarded`);
    const medians = mediansOf(runs);
    // What a run costs that forwards nothing is the bench of the start; the two cats are the floor's.
    const cpu = medians[names.runner]!.cpuSeconds - medians[names.empty]!.cpuSeconds - medians[names.floor]!.cpuSeconds;
    await report({
      scenario: 'runner-throughput', save,
      title: `${count(records)} lines, ${megabytes(bytes)}; medians of ${repetitions}`,
      table: comparisonTable({ medians, rows: records, bytes, unit: 'lines', ratios: { 'to floor': medians[names.floor]!.wallSeconds } }),
      bars: [
        { what: 'the runner alone forwards, a core,', value: bytes / cpu, atLeast: 1e9, as: (value) => `${megabytes(value)}/s` },
        { what: 'the tree, which is the runner and two cats, takes', value: medians[names.runner]!.peakPssBytes, atMost: 100e6, as: megabytes },
      ],
      figures: { records, bytes, repetitions, runnerCpuSeconds: cpu, medians, runs: keptRuns(runs) },
    });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function writeMessages(dir: string, rows: number): Promise<void> {
  const stream = { name: 'events', json_schema: { type: 'object', properties: {} }, supported_sync_modes: ['full_refresh'] };
  const message = (type: string, rest: object) => `${JSON.stringify({ type, ...rest })}\n`;
  const spec = message('SPEC', { spec: { connectionSpecification: { type: 'object' }, supported_destination_sync_modes: ['append', 'overwrite'] } });
  const status = message('CONNECTION_STATUS', { connectionStatus: { status: 'SUCCEEDED' } });
  const state = message('STATE', { state: { type: 'STREAM', stream: { stream_descriptor: { name: 'events' }, stream_state: { at: rows } } } });
  const complete = { type: 'STREAM_STATUS', emitted_at: 1, stream_status: { stream_descriptor: { name: 'events' }, status: 'COMPLETE' } };
  const files = { spec, status, state, catalog: message('CATALOG', { catalog: { streams: [stream] } }), complete: message('TRACE', { trace: complete }), 'config.json': '{}' };
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content);
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
    await measure('/bin/sh', ['-c', `${copyOut(false, url, sql)} > '${file}'`], { memory: false });
  } finally {
    await server.stop();
  }
}
