/**
 * Faults at random while several writers work: whatever fails, and however often, each row of the lake went 1, 2, 3, 4, deleted,
 * 6, 7, 8. CHAOS_CDC_FAULTS and CHAOS_SEED choose how many and which; `npm run chaos -- --cdc` sets them.
 */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { byTurns } from '../harness/everyday.js';
import { runCampaign } from './cdc-campaign.js';
import { lakeMenu, nameOf } from './cdc-faults.js';
import { createCdcWorld, startCdcServer, type CdcServer } from './cdc-world.js';
import { randomOf } from './random.js';

const full = process.env['CHAOS'] === 'full';
/** With those of cdc.pg.test.ts twenty in `npm test`. */
const faults = Number(process.env['CHAOS_CDC_FAULTS'] ?? 13);
const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);
/** A new database, slot and lake after so many, so that the copy is hit as well. */
const perWorld = full ? 10 : faults;
const worlds = Math.ceil(faults / perWorld);
const tell = (line: string): void => void process.stderr.write(`${line}\n`);

/** One database after the other on the newest version and on the oldest; one a day. */
const versions = byTurns([18, 14] as const);
let servers: CdcServer[] = [];
beforeAll(async () => {
  servers = await Promise.all(versions.slice(0, worlds).map((version) => startCdcServer({ version, network: true })));
});
afterAll(async () => void (await Promise.all(servers.map((server) => server.stop()))));

describe(`change data capture under random load and ${faults} faults loses, doubles and reorders nothing, seed ${seed}`, () => {
  const random = randomOf(`${seed} cdc`);
  const tally = new Map<string, number>();
  let hits = 0;

  afterAll(() => tell(`chaos cdc: ${[...tally].map(([what, count]) => `${count} ${what}`).join(', ')}; seed ${seed}`));

  test.each(Array.from({ length: worlds }, (_, i) => ({ number: i + 1, version: versions[i % versions.length]! })))('database $number, PostgreSQL $version', { timeout: 120_000 + perWorld * 60_000 }, async ({ number }) => {
    const server = servers[(number - 1) % servers.length]!;
    const world = await createCdcWorld(server, { seed: `${seed} ${number}`, pauseMs: 150, ...(full ? {} : { writers: 2 }) });
    try {
      await runCampaign({
        world, server, random, seed,
        serial: () => hits,
        menu: lakeMenu,
        due: Math.min(perWorld, faults - (number - 1) * perWorld),
        before: full ? 60 : 15,
        onFault(fault, { hit, text, ms }) {
          const what = hit ? nameOf(fault).replace(/@\d+/, '') : 'misses';
          tally.set(what, (tally.get(what) ?? 0) + 1);
          tell(`chaos cdc ${hit ? `${++hits}/${faults}` : 'missed'}: ${nameOf(fault)}: ${text} (${ms} ms)`);
        },
      });
      const { transactions, changes, largest, rollbacks, lostConnections } = world.load.tally;
      tell(`chaos cdc database ${number}: ${transactions} transactions, ${changes} changes, the largest ${largest}, ${rollbacks} rolled back, ${lostConnections} connections lost; all there once, in order`);
    } finally {
      await world.dispose();
    }
  });
});
