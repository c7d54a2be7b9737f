// The demo's PostgreSQL: its data stay in .cache/demo (or, where the server's user cannot go there, in the temporary directory), loaded
// once; each demo gets a fresh copy of the loaded database.
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { cache, root } from '../setup.mjs';
import { execute } from './execute.mjs';
import { seed, tables } from './seed.mjs';

const services = () => import(new URL('../../test/dist/services/index.js', import.meta.url).href);
const usualPort = 54329;
const conf = { shared_buffers: '256MB', max_wal_size: '2GB', checkpoint_timeout: '30min', wal_level: 'replica', autovacuum: 'off' };

export async function startDemoDatabase(say) {
  const { startPostgres, openToAll } = await services();
  const dir = await folder(openToAll);
  const port = (await isFree(usualPort)) ? usualPort : undefined;
  const start = () => startPostgres({ version: 18, dir, conf, ...(port ? { port } : {}) });
  const server = await start().catch(async (error) => {
    if (/postmaster\.pid.*already exists/.test(error.message)) throw new Error('another demo is running in this clone', { cause: error });
    // What a power cut left of the data is not worth a repair.
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    return start();
  });
  try {
    await seed(server, dir, say);
    await execute(server, 'postgres', 'DROP DATABASE IF EXISTS demo WITH (FORCE)');
    await execute(server, 'postgres', 'CREATE DATABASE demo TEMPLATE demo_seed OWNER demo STRATEGY file_copy');
  } catch (error) {
    await server.stop();
    throw error;
  }
  const query = (sql) => execute(server, 'demo', sql);
  return {
    url: `postgres://demo:demo@127.0.0.1:${server.port}/demo`,
    tables,
    changes: [
      {
        shown: 'UPDATE flights SET delay_minutes = delay_minutes + 60, updated_at = now() WHERE flight_id <= 10',
        run: async () => `UPDATE ${(await query('UPDATE flights SET delay_minutes = delay_minutes + 60, updated_at = now() WHERE flight_id <= 10')).rowCount}`,
      },
      {
        shown: "\\copy flights(flight_id, departed_at, delay_minutes, distance_miles, origin, destination) FROM 'next-day.csv' CSV",
        run: async () => `COPY ${(await query(`COPY flights(flight_id, departed_at, delay_minutes, distance_miles, origin, destination) FROM '${join(dir, 'next-day.csv')}' CSV`)).rowCount}`,
      },
    ],
    stop: () => server.stop(),
  };
}

async function folder(openToAll) {
  const inCache = join(cache, 'demo');
  mkdirSync(cache, { recursive: true });
  if (userInfo().uid !== 0 || (await openToAll(cache))) {
    mkdirSync(inCache, { recursive: true });
    return inCache;
  }
  const outside = join(tmpdir(), `tapline-demo-${createHash('sha256').update(root).digest('hex').slice(0, 8)}`);
  mkdirSync(outside, { recursive: true });
  return outside;
}

function isFree(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
