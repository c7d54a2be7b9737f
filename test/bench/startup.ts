import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { workspaceRoot } from '../services/index.js';
import { mixedTable, startBenchServer } from './bench-server.js';
import { measure, medianOf, type Measured } from './measure.js';
import { printTable, saveResult, seconds } from './report.js';
import { syncArgs, tapline } from './tapline.js';

/** What a command costs that has nothing to do. */
export async function startup({ repetitions = 10 }: { repetitions?: number } = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    const { url } = await mixedTable(server, 1000);
    const sync = syncArgs({ source: url, dest: join(dir, 'lake'), stateDir: join(dir, 'state'), more: ['--mode', 'public.events=incremental:created_at'] });
    await measure(process.execPath, sync, { cwd: dir });
    const connector = (name: string) => join(workspaceRoot, 'connectors', name, 'bin', `${name}.js`);
    const commands: Record<string, string[]> = {
      'node, nothing': ['-e', ''],
      'runner --help': [tapline, '--help'],
      'runner sync --help': [tapline, 'sync', '--help'],
      'source-postgres spec': [connector('source-postgres'), 'spec'],
      'destination-s3 spec': [connector('destination-s3'), 'spec'],
      'sync, nothing to do': sync,
    };
    const runs: Record<string, Measured[]> = {};
    for (let repetition = 0; repetition < repetitions; repetition++) {
      for (const [name, args] of Object.entries(commands)) (runs[name] ??= []).push(await measure(process.execPath, args, { cwd: dir, memory: false }));
    }
    const medians = Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, medianOf(all)]));
    printTable([['', 'wall', 'CPU'], ...Object.entries(medians).map(([name, m]) => [name, seconds(m.wallSeconds), seconds(m.cpuSeconds)])]);
    await saveResult('startup', { repetitions, medians });
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
