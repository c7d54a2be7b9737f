import { spawn } from 'node:child_process';
import type { ServerUser } from './server-user.js';

export interface RunCommandOptions {
  readonly user?: ServerUser | undefined;
  readonly cwd?: string;
  readonly env?: Record<string, string>;
}

/** Runs to the end; fails with what the command wrote. */
export function runCommand(command: string, args: readonly string[], options: RunCommandOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.cwd ? { cwd: options.cwd } : {}),
      env: options.env ?? process.env,
      ...options.user,
    });
    const output: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      const text = Buffer.concat(output).toString();
      if (code === 0) resolve(text);
      else reject(new Error(`${command} exited with ${String(code)}: ${text.slice(-2000)}`));
    });
  });
}
