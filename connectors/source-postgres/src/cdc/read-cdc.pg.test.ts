import { postgresVersions } from '@tapline/test/everyday';
import { testDatabase } from '@tapline/test/shared';
import type { TestDatabase } from '@tapline/test/services';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configOf, discoverAll } from '../fixtures/harness.js';
import { folded, foldedPartly, replicated, runCdc, type CdcOptions, type CdcRun } from '../fixtures/cdc.js';
import type { Config } from '../config.js';

const numbers = (values: readonly unknown[]): number[] => values.map(Number).sort((a, b) => a - b);

for (const version of postgresVersions('read-cdc')) {
  describe(`changes of PostgreSQL ${version}`, () => {
    let db: TestDatabase;
    let config: Config;

    beforeEach(async () => {
      db = await testDatabase(version);
      // Slots are the cluster's: each test has one of its own.
      const slot = `t_${db.name.replaceAll(/[^a-z0-9]/g, '_')}`;
      config = configOf(db, { replication: 'cdc', slot, schemas: ['public'] });
    });

    afterEach(async () => {
      await db.query(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '${config.slot}' AND NOT active`);
    });

    const sync = async (state?: CdcRun, options: Partial<CdcOptions> = {}): Promise<CdcRun> =>
      runCdc({ config, streams: replicated(await discoverAll(config)), state: state?.state, ...options });
    const ids = (run: CdcRun, stream = 't'): unknown[] => (run.rows.get(stream) ?? []).map(({ id }) => id);

    it('copies a table, and goes on with its changes in the next run, each once and in order', async () => {
      await db.query('CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t SELECT i, $$n$$ || i FROM generate_series(1, 100) i');
      const first = await sync();
      expect(first.error).toBeUndefined();
      expect(ids(first)).toHaveLength(100);
      expect(first.generations).toEqual(['t 2 begin', 't 2 complete']);
      await db.query(`INSERT INTO t VALUES (101, 'x')`);
      await db.query(`UPDATE t SET name = 'y' WHERE id = 101`);
      await db.query('DELETE FROM t WHERE id = 101');
      await db.query('UPDATE t SET id = 1000 WHERE id = 1');
      const second = await sync(first);
      expect(second.error).toBeUndefined();
      expect((second.rows.get('t') ?? []).map(({ id, name, _ab_cdc_deleted_at: deleted }) => [id, name ?? null, deleted !== null])).toEqual([
        [101, 'x', false], [101, 'y', false], [101, null, true], [1, null, true], [1000, 'n1', false],
      ]);
      const orders = [...(first.rows.get('t') ?? []), ...(second.rows.get('t') ?? [])].map((row) => String(row['_tapline_order']));
      expect(orders).toEqual([...new Set(orders)].sort());
      expect(await sync(second).then(ids)).toEqual([]);
    });

    it('moves the slot to what was confirmed, and not beyond', async () => {
      await db.query('CREATE TABLE t (id int PRIMARY KEY)');
      const first = await sync(undefined, { confirm: false });
      const lsn = async (): Promise<string> => (await db.query<{ lsn: string }>(`SELECT confirmed_flush_lsn::text AS lsn FROM pg_replication_slots WHERE slot_name = '${config.slot}'`))[0]!.lsn;
      const made = await lsn();
      await db.query('INSERT INTO t VALUES (1)');
      const second = await sync(first, { confirm: false });
      expect(ids(second)).toEqual([1]);
      // The state that a run is given is durable; what it sends is not yet.
      const given = (first.state!.global!.shared_state as { lsn: string }).lsn;
      expect([made, given]).toContain(await lsn());
      const third = await sync(second);
      expect(third.error).toBeUndefined();
      expect(await lsn()).toBe((third.state!.global!.shared_state as { lsn: string }).lsn);
    });

    it('begins a generation for a TRUNCATE, and keeps what follows it', async () => {
      await db.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)');
      const first = await sync();
      await db.query('INSERT INTO t VALUES (3)');
      await db.query('BEGIN; INSERT INTO t VALUES (4); TRUNCATE t; INSERT INTO t VALUES (5); COMMIT');
      const second = await sync(first);
      const told = second.items.flatMap((item) => (item.kind === 'lines' ? ['lines'] : item.kind === 'generation' ? [`${item.generation} ${item.phase}`] : []));
      expect(told.filter((text, i) => text !== told[i - 1])).toEqual(['lines', '3 begin', '3 complete', 'lines']);
      expect(ids(second)).toEqual([3, 4, 5]);
    });

    it('adds a column before the first record that has it, and a changed type under a name of its own', async () => {
      await db.query('CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1)');
      const streams = replicated(await discoverAll(config));
      const first = await sync();
      await db.query(`ALTER TABLE t ADD note text; INSERT INTO t VALUES (2, 2, 'two')`);
      await db.query(`ALTER TABLE t ALTER n TYPE text; ALTER TABLE t RENAME note TO remark; INSERT INTO t VALUES (3, 'three', 'r')`);
      const second = await runCdc({ config, streams, state: first.state });
      expect(second.error).toBeUndefined();
      expect(second.rows.get('t')?.map(({ id, n, n__text, note, remark }) => ({ id, n, n__text, note, remark }))).toEqual([
        { id: 2, n: 2, note: 'two' }, { id: 3, n__text: 'three', remark: 'r' },
      ]);
      const kinds = second.items.flatMap((item): (string | string[])[] => (item.kind === 'schema' ? [Object.keys(item.stream.json_schema['properties'] as object).slice(0, 5)] : item.kind === 'lines' ? ['lines'] : []));
      expect(kinds).toEqual([['id', 'n', 'note', '_ab_cdc_lsn', '_ab_cdc_updated_at'], 'lines', ['id', 'n', 'note', 'n__text', 'remark'], 'lines']);
      // A restart with the catalog of now keeps the names.
      await db.query(`INSERT INTO t VALUES (4, 'four', 's')`);
      const third = await sync(second);
      expect(third.rows.get('t')?.map(({ id, n, n__text, remark }) => ({ id, n, n__text, remark }))).toEqual([{ id: 4, n__text: 'four', remark: 's' }]);
    });

    it('copies tables that are written to meanwhile without a gap and without a double', async () => {
      await db.query('CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL); INSERT INTO t SELECT i, 0 FROM generate_series(1, 5000) i');
      config = { ...config, snapshot_range_bytes: 16_384, block_bytes: 4096 };
      let writing = true;
      const writers = [1, 2, 3].map(async (writer) => {
        for (let i = 0; writing; i++) {
          await db.query(`UPDATE t SET n = n + 1 WHERE id % 100 = ${(i * 7 + writer) % 100}; INSERT INTO t VALUES (${writer * 1_000_000 + i}, 0); DELETE FROM t WHERE id = ${writer * 1_000_000 + i - 3}`);
        }
      });
      const first = await sync(undefined, { each: async (item) => item.kind === 'lines' && new Promise((resolve) => setTimeout(resolve, 5)) });
      writing = false;
      await Promise.all(writers);
      const second = await sync(first);
      expect([first.error, second.error]).toEqual([undefined, undefined]);
      const rows = [...(first.rows.get('t') ?? []), ...(second.rows.get('t') ?? [])];
      expect(new Set(rows.map((row) => row['_tapline_order'])).size).toBe(rows.length);
      const now = await db.query<{ id: number; n: number }>('SELECT id, n FROM t ORDER BY id');
      expect(folded(rows).map(({ id, n }) => ({ id, n })).sort((a, b) => Number(a.id) - Number(b.id))).toEqual(now.map(({ id, n }) => ({ id, n })));
      // No value of a counter came twice after the copy.
      const counters = new Map<unknown, unknown[]>();
      for (const row of [...rows].sort((a, b) => (String(a['_tapline_order']) < String(b['_tapline_order']) ? -1 : 1))) {
        if (Number(row['id']) <= 5000) counters.set(row['id'], [...(counters.get(row['id']) ?? []), row['n']]);
      }
      for (const values of counters.values()) expect(values).toEqual(Array.from({ length: values.length }, (_, i) => Number(values[0]) + i));
    });

    it('copies a table that was added later, and a table that was made anew', async () => {
      await db.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
      const first = await sync();
      await db.query('CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (7); DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (2)');
      const second = await sync(first);
      expect(second.error).toBeUndefined();
      expect([ids(second, 't'), ids(second, 'u')]).toEqual([[2], [7]]);
      expect(second.generations.filter((text) => text.startsWith('t '))).toEqual(['t 3 begin', 't 3 complete']);
    });

    it('copies everything again where the log is lost and on_lost says so, and else says what is lost', async () => {
      await db.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
      const first = await sync();
      await db.query(`SELECT pg_drop_replication_slot('${config.slot}'); INSERT INTO t VALUES (2)`);
      const failed = await sync(first);
      expect([failed.error?.kind, failed.error?.message]).toEqual(['config_error', expect.stringMatching(/replication slot .* does not exist any more.*changes are lost.*--full-refresh.*on_lost/)]);
      config = { ...config, on_lost: 'resnapshot' };
      const again = await sync(first);
      expect([again.error, ids(again), again.generations]).toEqual([undefined, [1, 2], ['t 3 begin', 't 3 complete']]);
      // In mid-stream: the slot is given up, and the next attempt copies.
      await db.query(`DROP PUBLICATION "${config.slot}"; INSERT INTO t VALUES (3)`);
      const lost = await sync(again);
      expect(lost.error?.kind).toBe('transient_error');
      const third = await sync(lost);
      expect([third.error, ids(third)]).toEqual([undefined, [1, 2, 3]]);
    });

    it('goes on where nothing of a large rolled back transaction was sent', async () => {
      await db.query('CREATE TABLE t (id int PRIMARY KEY)');
      const first = await sync();
      await db.query(`ALTER DATABASE ${db.name} SET logical_decoding_work_mem = '64kB'`);
      await db.query('BEGIN; INSERT INTO t SELECT generate_series(1, 10000); ROLLBACK; INSERT INTO t VALUES (1)');
      const second = await sync(first);
      expect([second.error, ids(second)]).toEqual([undefined, [1]]);
    });

    it('selects an unchanged large value again, and says so when its row is gone', async () => {
      await db.query(`CREATE TABLE t (id int PRIMARY KEY, n int, body text); ALTER TABLE t ALTER body SET STORAGE EXTERNAL; INSERT INTO t SELECT i, 0, repeat('x', 5000) FROM generate_series(1, 2) i`);
      const first = await sync();
      await db.query('UPDATE t SET n = 1');
      await db.query('DELETE FROM t WHERE id = 2');
      const second = await sync(first);
      expect(second.error).toBeUndefined();
      expect(second.rows.get('t')?.map(({ id, n, body, meta }) => [id, n, typeof body === 'string' ? body.length : body, meta])).toEqual([
        [1, 1, 5000, undefined],
        [2, 1, null, { changes: [{ field: 'body', change: 'NULLED', reason: 'SOURCE_RETRIEVAL_ERROR' }] }],
        [2, undefined, undefined, undefined],
      ]);
    });

    describe('into a destination that keeps what did not change', () => {
      const merging = async (): Promise<Partial<CdcOptions>> => ({
        streams: replicated(await discoverAll(config), ['t'], { destination_sync_mode: 'append_dedup' }),
        session: { extensions: ['ack', 'end', 'schema', 'generation', 'lag', 'partial'] },
      });
      const large = (n: number): string => `repeat('${n} ', 3000)`;
      const bodyOf = (row: Record<string, unknown>): unknown => (typeof row['body'] === 'string' ? row['body'].slice(0, 2).trim() : row['body']);
      const stands = async (): Promise<unknown[]> => (await db.query<{ id: number; n: number; body: string }>('SELECT id, n, body FROM t ORDER BY id')).map((row) => [row.id, row.n, bodyOf(row)]);
      const arrived = (...runs: CdcRun[]): unknown[] => foldedPartly(runs.flatMap((run) => run.rows.get('t') ?? [])).sort((a, b) => Number(a['id']) - Number(b['id'])).map((row) => [row['id'], row['n'], bodyOf(row)]);

      beforeEach(() => db.query(`CREATE TABLE t (id int PRIMARY KEY, n int, body text); ALTER TABLE t ALTER body SET STORAGE EXTERNAL; INSERT INTO t SELECT i, 0, ${large(7)} FROM generate_series(1, 6) i`));

      it('names an unchanged large value, and selects nothing again; a row under a new key comes whole', async () => {
        const first = await sync(undefined, await merging());
        await db.query('UPDATE t SET n = 1 WHERE id = 1');
        await db.query('UPDATE t SET id = 102, n = 2 WHERE id = 2');
        await db.query('UPDATE t SET n = 3 WHERE id = 102');
        await db.query(`UPDATE t SET body = ${large(8)} WHERE id = 3`);
        await db.query('DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (4, 9, NULL); UPDATE t SET n = 10 WHERE id = 4');
        const second = await sync(first, await merging());
        expect(second.error).toBeUndefined();
        expect(second.rows.get('t')!.map((row) => [row['id'], row['n'], bodyOf(row), row['meta']])).toEqual([
          [1, 1, undefined, { unchanged: ['body'] }], [2, undefined, undefined, undefined], [102, 2, '7', undefined], [102, 3, undefined, { unchanged: ['body'] }],
          [3, 0, '8', undefined], [4, undefined, undefined, undefined], [4, 9, null, undefined], [4, 10, null, undefined],
        ]);
        expect(arrived(first, second)).toEqual(await stands());
      });

      it('says of a row whose key changed and that is gone meanwhile that its value cannot be had', async () => {
        const first = await sync(undefined, await merging());
        await db.query('UPDATE t SET id = 102 WHERE id = 2');
        await db.query('DELETE FROM t WHERE id = 102');
        const second = await sync(first, await merging());
        expect(second.rows.get('t')!.map(({ id, body, meta }) => [id, body, meta])).toEqual([
          [2, undefined, undefined], [102, null, { changes: [{ field: 'body', change: 'NULLED', reason: 'SOURCE_RETRIEVAL_ERROR' }] }], [102, undefined, undefined],
        ]);
      });

      it('is right where a change comes ahead of the copied row', async () => {
        await db.query(`INSERT INTO t SELECT i, 0, ${large(7)} FROM generate_series(7, 3000) i`);
        config = { ...config, block_bytes: 4096 };
        let changed = false;
        const first = await sync(undefined, {
          ...(await merging()),
          each: async (_item, run) => {
            if (changed || (run.rows.get('t')?.length ?? 0) === 0) return;
            changed = true;
            await db.query('UPDATE t SET n = id WHERE id > 2900');
            await db.query('UPDATE t SET id = id + 10000 WHERE id > 2950');
            await db.query(`UPDATE t SET body = ${large(8)} WHERE id BETWEEN 2890 AND 2920`);
            await db.query('UPDATE t SET n = -id WHERE id BETWEEN 2880 AND 2910; DELETE FROM t WHERE id = 2930');
          },
        });
        const second = await sync(first, await merging());
        expect([first.error, second.error]).toEqual([undefined, undefined]);
        const rows = first.rows.get('t')!;
        const place = (wanted: (row: Record<string, unknown>) => boolean): number => rows.findIndex((row) => row['id'] === 2940 && wanted(row));
        expect(place((row) => row['n'] === 2940)).toBeLessThan(place((row) => row['n'] === 0));
        expect(arrived(first, second)).toEqual(await stands());
      });

      it('is selected again where every change is a row of its own', async () => {
        const appending = { session: { extensions: ['ack', 'end', 'schema', 'generation', 'partial'] } };
        const first = await sync(undefined, appending);
        await db.query('UPDATE t SET n = 1 WHERE id = 1');
        const second = await sync(first, appending);
        expect(second.rows.get('t')!.map((row) => [row['id'], row['n'], bodyOf(row), row['meta']])).toEqual([[1, 1, '7', undefined]]);
      });

      it.runIf(version >= 15)('takes a row that a filter of the publication lets in for a new one', async () => {
        await db.query('CREATE PUBLICATION mine FOR TABLE t WHERE (id < 100); UPDATE t SET id = 506 WHERE id = 6');
        config = { ...config, publication: 'mine' };
        const first = await sync(undefined, await merging());
        await db.query('UPDATE t SET id = 96 WHERE id = 506');
        const second = await sync(first, await merging());
        expect([first.error, second.error]).toEqual([undefined, undefined]);
        expect(second.rows.get('t')!.map((row) => [row['id'], bodyOf(row), row['meta']])).toEqual([[96, '7', undefined]]);
      });
    });

    it('follows a table that a run ended in the middle of copying under a new generation', async () => {
      await db.query(`CREATE TABLE t (id int PRIMARY KEY, pad text); INSERT INTO t SELECT i, repeat('p', 200) FROM generate_series(1, 20000) i`);
      config = { ...config, block_bytes: 4096 };
      const first = await sync(undefined, { each: (_item, run, stop) => (run.rows.get('t')?.length ?? 0) > 1000 && stop() });
      expect(first.state!.global!.stream_states![0]!.stream_state).toMatchObject({ phase: expect.stringMatching(/pending|copying/) as string });
      const second = await sync(first);
      expect(second.error).toBeUndefined();
      expect(new Set(ids(second)).size).toBe(20_000);
      expect(second.generations.at(-1)).toMatch(/^t [23] complete$/);
    });

    it('reads partitions as their root, with keys that move between them', async () => {
      await db.query(`CREATE TABLE t (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (100); CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (100) TO (200); INSERT INTO t VALUES (1, 0), (150, 0)`);
      const streams = replicated(await discoverAll(config), ['t']);
      const first = await runCdc({ config, streams });
      expect(numbers(ids(first))).toEqual([1, 150]);
      await db.query('UPDATE t SET id = 151 WHERE id = 1');
      await db.query('CREATE TABLE t_3 PARTITION OF t FOR VALUES FROM (200) TO (300); INSERT INTO t VALUES (250, 1)');
      const second = await runCdc({ config, streams, state: first.state });
      expect(second.error).toBeUndefined();
      expect(numbers(folded([...(first.rows.get('t') ?? []), ...(second.rows.get('t') ?? [])]).map(({ id }) => id))).toEqual([150, 151, 250]);
    });
  });
}
