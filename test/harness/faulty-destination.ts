/** A destination that fails in the ways that networks and disks do: a destination of ours in a wrapper that spoils what goes in and out. */
import { createRequire } from 'node:module';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { workspaceRoot } from '../services/workspace.js';

/**
 * slow: takes its first input in sips. refuses: fails at once, as if it could not be reached. fails: takes records, then fails before it
 * stores them. dies after writing: what it answers to the first STATE is lost, and it with it. holds: the answer to a STATE is late.
 */
export const destinationFaults = ['slow', 'refuses', 'fails', 'dies after writing', 'holds'] as const;
export type DestinationFault = (typeof destinationFaults)[number];

export interface FaultyDestination {
  /** As `--dest` takes it. */
  readonly uri: string;
  /** `--dest-config` names it. */
  readonly config: string;
  /** Of the next process that writes; those after it are sound again. */
  plan(fault: DestinationFault): Promise<void>;
  /** There once the fault has struck. */
  readonly marker: string;
}

/** `destination`: its package, whose executable has the same name; `config`: its configuration. */
export async function faultyDestination(directory: string, { destination, config: options }: { readonly destination: string; readonly config: object }): Promise<FaultyDestination> {
  const folder = join(directory, 'faulty');
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'destination-faulty');
  const planned = join(folder, 'planned');
  const marker = join(folder, 'struck');
  const config = join(folder, 'config.json');
  await writeFile(config, JSON.stringify(options));
  const program = createRequire(join(workspaceRoot, 'test', 'package.json')).resolve(`${destination}/package.json`).replace('package.json', `bin/${destination.slice(destination.indexOf('/') + 1)}.js`);
  await writeFile(path, script(program, planned, marker));
  await chmod(path, 0o755);
  return { uri: `exec:${path}`, config, marker, plan: (fault) => writeFile(planned, fault) };
}

const script = (program: string, planned: string, marker: string): string => `#!${process.execPath}
const fs = require('node:fs');
const { spawn } = require('node:child_process');
const args = process.argv.slice(2);
let fault = '';
// Whoever renames the plan has it: of two processes one.
if (args[0] === 'write') try { fs.renameSync(${JSON.stringify(planned)}, ${JSON.stringify(planned)} + '.' + process.pid); fault = fs.readFileSync(${JSON.stringify(planned)} + '.' + process.pid, 'utf8'); } catch {}
const strike = () => fs.writeFileSync(${JSON.stringify(marker)}, String(process.pid));
const fail = (message) => {
  strike();
  fs.writeSync(1, JSON.stringify({ type: 'TRACE', trace: { type: 'ERROR', emitted_at: 1760000000000, error: { message, failure_type: 'transient_error' } } }) + '\\n');
  if (child) child.kill('SIGKILL');
  process.exit(1);
};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let child;
if (fault === 'refuses') fail('the store refuses the connection');
child = spawn(process.execPath, [${JSON.stringify(program)}, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => child.kill(name));
child.stdin.on('error', () => {});
(async () => {
  let bytes = 0;
  let sips = 0;
  try {
    for await (const chunk of process.stdin) {
      if (fault === 'slow' && ++sips <= 30) { strike(); await sleep(50); }
      bytes += chunk.length;
      if (fault === 'fails' && bytes > 20000) fail('the store has gone away');
      if (!child.stdin.write(chunk)) await new Promise((resolve) => { child.stdin.once('drain', resolve); child.stdin.once('close', resolve); });
    }
  } catch {}
  child.stdin.end();
})();
const answered = (async () => {
  let rest = '';
  let held = false;
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    const lines = (rest + chunk).split('\\n');
    rest = lines.pop();
    for (const line of lines) {
      const state = line.startsWith('{"type":"STATE"');
      if (state && fault === 'dies after writing') { strike(); child.kill('SIGKILL'); process.kill(process.pid, 'SIGKILL'); }
      if (state && fault === 'holds' && !held) { held = true; strike(); await sleep(1500); }
      fs.writeSync(1, line + '\\n');
    }
  }
  if (rest) fs.writeSync(1, rest);
})();
child.on('close', async (code, signal) => {
  await answered;
  if (signal) process.kill(process.pid, signal);
  else process.exit(code);
});
`;
