/**
 * Faults at random moments into every kind of warehouse: of a sync that refreshes and merges (the spine's), and of change data capture into
 * merged tables, soft deletions and histories. CHAOS_WAREHOUSE_FAULTS and CHAOS_SEED choose how many and which; `npm run chaos -- --warehouse`
 * sets them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { warehouseKinds, type WarehouseKind } from '../harness/warehouse.js';
import { explain } from '../harness/workspace.js';
import { runCampaign } from './cdc-campaign.js';
import { nameOf, warehouseMenu } from './cdc-faults.js';
import { startCdcServer, type CdcServer } from './cdc-world.js';
import { cleanRun, crash, killed, settledDamage } from './crash.js';
import { randomOf, type Random } from './random.js';
import { createWarehouseCdcWorld } from './warehouse-cdc-world.js';
import type { Form } from './warehouse-cdc-verify.js';
import { startWarehouseServer, type WarehouseServer } from './warehouse-place.js';
import { createWarehouseWorld } from './warehouse-world.js';

const full = process.env['CHAOS'] === 'full';
/** A quarter of them in the spine's world, the rest in that of change data capture; every day only those. */
const faults = Number(process.env['CHAOS_WAREHOUSE_FAULTS'] ?? (full ? 40 : 2));
const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);
const perWorld = full ? 6 : 2;
const tell = (line: string): void => void process.stderr.write(`${line}\n`);

/** Every kind with every form, beginning with those that are the most different. */
const mixes: readonly (readonly [WarehouseKind, Form])[] = [
  ['duckdb', 'hard'], ['postgres18', 'scd2'], ['postgres14', 'hard'], ['duckdb', 'scd2'], ['postgres18', 'hard'], ['duckdb', 'soft'], ['postgres14', 'scd2'], ['postgres18', 'soft'], ['postgres14', 'soft'],
];
const inSpine = full ? Math.floor(faults / 4) : 0;
const inCdc = faults - inSpine;
const worlds = Array.from({ length: Math.ceil(inCdc / perWorld) }, (_, i) => ({ number: i + 1, kind: mixes[i % mixes.length]![0], form: mixes[i % mixes.length]![1] }));
const spines = warehouseKinds.map((kind, i, all) => ({ kind, kills: Math.floor(inSpine / all.length) + (i < inSpine % all.length ? 1 : 0) })).filter(({ kills }) => kills > 0);

let source: CdcServer;
const servers = new Map<WarehouseKind, WarehouseServer>();
beforeAll(async () => {
  const kinds = new Set([...worlds, ...spines].map(({ kind }) => kind).filter((kind) => kind !== 'duckdb'));
  const [started] = await Promise.all([
    startCdcServer({ network: true, conf: { track_commit_timestamp: 'on' } }),
    ...[...kinds].map(async (kind) => servers.set(kind, await startWarehouseServer(kind))),
  ]);
  source = started;
});
afterAll(async () => void (await Promise.all([source, ...servers.values()].map((server) => server?.stop()))));

const accessTo = async (kind: WarehouseKind) => {
  const server = servers.get(kind);
  return server ? { access: await server.access() } : {};
};

describe(`change data capture into warehouses under random load and ${inCdc} faults: the merged tables are the source's, row by row, seed ${seed}`, () => {
  const random = randomOf(`${seed} warehouse`);
  const tally = new Map<string, number>();
  let hits = 0;

  afterAll(() => tell(`chaos warehouse cdc: ${[...tally].map(([what, count]) => `${count} ${what}`).join(', ')}; seed ${seed}`));

  test.each(worlds)('database $number into $kind ($form)', { timeout: 120_000 + perWorld * 60_000 }, async ({ number, kind, form }) => {
    const warehouse = servers.get(kind);
    const world = await createWarehouseCdcWorld(source, { seed: `${seed} ${number}`, pauseMs: 150, ...(full ? {} : { writers: 2, largest: 1_000 }), kind, form, ...(await accessTo(kind)) });
    try {
      await runCampaign({
        world, server: source, random, seed,
        ...(warehouse ? { warehouse } : {}),
        serial: () => hits,
        menu: warehouseMenu(warehouse !== undefined),
        due: Math.min(perWorld, inCdc - (number - 1) * perWorld),
        before: full ? 60 : 10,
        onFault(fault, { hit, text, ms }) {
          const what = hit ? nameOf(fault).replace(/@\d+/, '') : 'misses';
          tally.set(what, (tally.get(what) ?? 0) + 1);
          tell(`chaos warehouse cdc ${kind} ${form} ${hit ? `${++hits}/${inCdc}` : 'missed'}: ${nameOf(fault)}: ${text} (${ms} ms)`);
        },
      });
      const { transactions, changes, largest, rollbacks, lostConnections } = world.load.tally;
      tell(`chaos warehouse cdc database ${number}: ${transactions} transactions, ${changes} changes, the largest ${largest}, ${rollbacks} rolled back, ${lostConnections} connections lost; ${kind} (${form}) is as the source`);
    } finally {
      await world.dispose();
    }
  });
});

const victims = ['source', 'destination', 'runner', 'PostgreSQL', 'warehouse', 'network'] as const;

describe.each(spines)('$kind: after kill -9 at random moments and one more run, every row is there once', ({ kind, kills }) => {
  const random = randomOf(`${seed} ${kind}`);
  const tally = new Map<string, number>();

  afterAll(() => tell(`chaos ${kind}: ${[...tally].map(([what, count]) => `${count} ${what}`).join(', ')}; seed ${seed}`));

  test(`${kills} kills, seed ${seed}`, { timeout: 120_000 + kills * 30_000 }, async () => {
    const database = await source.postgres.createDatabase();
    const world = await createWarehouseWorld({ kind, database, ...(await accessTo(kind)) });
    try {
      let span = await cleanRun(world);
      for (let done = 0; done < kills; ) {
        // One to three crashes in a row: what one left behind must not trip the next.
        for (let left = 1 + random.below(3); left > 0 && done < kills; left--) {
          await world.change();
          const warehouse = servers.get(kind);
          const { victim, hit, text, outcome } = await crash({
            world, random, span,
            victims: victims.filter((one) => warehouse || (one !== 'warehouse' && one !== 'network')),
            strikes: { PostgreSQL: killed(source.postgres, random), ...(warehouse && { warehouse: killed(warehouse.postgres, random), network: () => cut(warehouse, random) }) },
          });
          if (outcome.signal === null) expect([0, 1, 75, 76], explain(outcome)).toContain(outcome.exitCode);
          if (hit) done++;
          const what = hit ? victim : 'misses';
          tally.set(what, (tally.get(what) ?? 0) + 1);
          tell(`chaos ${kind} ${hit ? `${done}/${kills}` : 'missed'}: ${text}`);
          expect(await world.duplicates(), `right after: ${text} (seed ${seed})`).toEqual([]);
        }
        span = await cleanRun(world);
        expect([...(await settledDamage(world)), ...(await world.leftovers())], `seed ${seed}`).toEqual([]);
      }
    } finally {
      await world.dispose();
      await database.drop();
    }
  });
});

async function cut({ network }: WarehouseServer, random: Random): Promise<void> {
  network.cut();
  await sleep(random.below(500));
  network.restore();
}
