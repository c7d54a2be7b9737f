/** What both halves of the bench of scale need. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PostgresServer } from '../services/index.js';
import type { Contestant, Medians } from './comparison.js';
import { count } from './report.js';
import { freshSync } from './tapline.js';

export interface World {
  readonly server: PostgresServer;
  readonly dir: string;
  readonly transports: readonly string[];
  readonly repetitions: number;
  readonly save: boolean;
}

export const lakeOf = ({ dir }: World): string => join(dir, 'lake');

/** A sync into the one lake of the run, which is empty before it. */
export const syncOf = (world: World, source: string, transport: string): Contestant =>
  freshSync({
    source, dest: lakeOf(world), stateDir: join(world.dir, 'state'), transport,
    empty: () => rm(lakeOf(world), { recursive: true, force: true }), measured: { postgresPid: world.server.pid, cwd: world.dir },
  });

export const nameOf = (kind: string, size: number): string => `${kind}, ${count(size)}`;
/** Of the tree and of the server. */
export const cpuOf = (medians: Medians, name: string): number => medians[name]!.cpuSeconds + medians[name]!.postgresCpuSeconds;
