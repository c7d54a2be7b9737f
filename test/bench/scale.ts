import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBenchServer } from './bench-server.js';
import { rowsOf } from './scale-rows.js';
import { tablesOf } from './scale-tables.js';
import type { World } from './scale-world.js';
import { transportsOf } from './tapline.js';

export interface ScaleOptions {
  /** Of the largest table; the others are a tenth and a hundredth. */
  readonly rows?: number;
  /** Of the widest database; the others have one, and a hundredth. */
  readonly tables?: number;
  readonly repetitions?: number;
  readonly transport?: string;
  /** Default: yes. */
  readonly save?: boolean;
}

/** What a row costs as tables grow, and what a table costs as they become many. */
export async function scale({ rows = 10_000_000, tables = 1000, repetitions = 1, transport, save = true }: ScaleOptions = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  const world: World = { server, dir, transports: transportsOf(transport), repetitions, save };
  try {
    await rowsOf(world, [rows / 100, rows / 10, rows].map(Math.round));
    await tablesOf(world, [1, Math.max(2, Math.round(tables / 100)), tables]);
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
