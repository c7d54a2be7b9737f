/** Programs of the Airbyte world, as published: each set in a virtual environment of its own, pinned, in the cache. */
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDir } from '../services/workspace.js';

const run = promisify(execFile);

/** One for each file of tests: two that run at a time must not make the same one. */
const environments = {
  /** A published source. */
  faker: ['airbyte-source-faker==7.2.1'],
  /** An independent reader of Parquet. */
  pyarrow: ['pyarrow==21.0.0'],
  /** A third party's reader of the protocol, and the protocol's own models. */
  pyairbyte: ['airbyte==0.71.3', 'airbyte-protocol-models-pdv2==0.18.0'],
} as const;

/** Absolute path of a program of that environment, which is made if it is not there (a minute, once). */
export async function pythonProgram(environment: keyof typeof environments, program: string): Promise<string> {
  const directory = join(cacheDir, 'python', environment);
  const stamp = join(directory, 'tapline-stamp');
  const wanted = environments[environment].join('\n');
  if ((await readFile(stamp, 'utf8').catch(() => '')) !== wanted) {
    await rm(directory, { recursive: true, force: true });
    await say('python3', ['-m', 'venv', directory]);
    await install(directory, environments[environment]);
    await writeFile(stamp, wanted);
  }
  return join(directory, 'bin', program);
}

/** By uv, which unpacks thousands of files in a sixth of pip's time; by pip where it cannot, for it knows nothing of pip's settings (an index of one's own). */
async function install(directory: string, packages: readonly string[]): Promise<void> {
  const program = (name: string): string => join(directory, 'bin', name);
  // Of their files few are ever imported, and those are compiled then.
  const pip = (...wanted: readonly string[]): Promise<void> => say(program('pip'), ['install', '--quiet', '--disable-pip-version-check', '--no-compile', ...wanted]);
  await pip('uv==0.8.24');
  await say(program('uv'), ['pip', 'install', '--quiet', '--no-cache', '--python', program('python'), ...packages]).catch(() => pip(...packages));
}

/** Runs a script of this folder; gives its stdout. */
export async function pythonScript(environment: keyof typeof environments, script: string, args: readonly string[]): Promise<string> {
  const python = await pythonProgram(environment, 'python');
  const env = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', DO_NOT_TRACK: '1', AIRBYTE_OFFLINE_MODE: '1', PYTHONWARNINGS: 'ignore', TZ: 'Asia/Kathmandu' };
  const { stdout } = await run(python, [join(import.meta.dirname, script), ...args], { env, maxBuffer: 1 << 30, timeout: 150_000 });
  return stdout;
}

async function say(command: string, args: readonly string[]): Promise<void> {
  try {
    await run(command, [...args], { maxBuffer: 1 << 28 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new Error('the tests against published connectors need python3 (3.10 to 3.12) with venv and pip: install it, for instance `apt install python3-venv`', { cause: error });
    }
    throw new Error(`${command} ${args.join(' ')} failed: ${(error as { stderr?: string }).stderr ?? ''}`, { cause: error });
  }
}
