/** What a warehouse's sink must do on a real engine: commits, generations, fences. */
import { DuckDBInstance } from '@duckdb/node-api';
import { toJsonSchema } from '@tapline/catalog';
import { planColumns, sqlString, sync8, type Commit, type CompletedGeneration, type GenerationBegin, type Staged, type StreamSchema } from '@tapline/columnar';
import type { ConfiguredStream, StreamDescriptor } from '@tapline/protocol';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { config as parser, type Config } from '../config.js';
import type { Warehouse } from '../warehouse.js';
import { AfterLoad } from './after-load.js';
import { WarehouseSink } from './warehouse-sink.js';

export interface SinkSuite {
  /** Where all writers of a test write; `open` may be called while another is open only where the engine lets it. */
  place(): Promise<{ open(sync: string, scratch: string): Promise<Warehouse>; readonly config: Partial<Config>; dispose(): Promise<void> }>;
  /** Two processes can have it open: fences are the epoch's. Else the file's lock is the fence. */
  readonly shared: boolean;
}

interface Row {
  readonly id: number;
  readonly body: string;
  /** Place in the order; deletions have one, too. */
  readonly order: number;
  readonly deleted?: boolean;
}

type Mode = 'append' | 'append_dedup';

const streamOf = (name: string): StreamDescriptor => ({ namespace: 'shop', name });
const hex = (n: number): string => n.toString(16).padStart(32, '0');

/** `more`: further columns of text. */
function schemaOf(name: string, mode: Mode, more: readonly string[] = []): StreamSchema {
  const configured: ConfiguredStream = {
    stream: {
      ...streamOf(name), supported_sync_modes: ['incremental'], source_defined_primary_key: [['id']],
      json_schema: {
        type: 'object',
        properties: {
          id: toJsonSchema({ kind: 'int', bits: 64 }), body: toJsonSchema({ kind: 'text' }), _ab_cdc_deleted_at: toJsonSchema({ kind: 'timestamptz' }),
          _tapline_order: toJsonSchema({ kind: 'text' }),
          ...Object.fromEntries(more.map((column) => [column, toJsonSchema({ kind: 'text' })])),
        },
      },
    },
    sync_mode: 'incremental', destination_sync_mode: mode, primary_key: [['id']],
  };
  return { configured, plan: planColumns(configured.stream) };
}

export function sinkSuite(engine: string, { place, shared }: SinkSuite): void {
  describe(`the sink of ${engine}`, () => {
    let at: Awaited<ReturnType<SinkSuite['place']>>;
    let folder = '';
    let instance: DuckDBInstance;
    let files = 0;
    let syncs = 0;
    beforeAll(async () => {
      at = await place();
      folder = await mkdtemp(join(tmpdir(), 'tapline-sink-'));
      instance = await DuckDBInstance.create(':memory:', { threads: '1' });
    });
    afterAll(async () => {
      instance.closeSync();
      await at.dispose();
      await rm(folder, { recursive: true, force: true });
    });

    /** A process that writes: opened, it fences those before it. */
    class Writer implements AsyncDisposable {
      readonly #sync: string;
      readonly #warehouse: Warehouse;
      readonly sink: WarehouseSink;
      readonly #schemas: ReadonlyMap<string, StreamSchema>;
      #seq = 0;

      private constructor(sync: string, warehouse: Warehouse, sink: WarehouseSink, schemas: ReadonlyMap<string, StreamSchema>) {
        this.#sync = sync;
        this.#warehouse = warehouse;
        this.sink = sink;
        this.#schemas = schemas;
      }

      static async open(sync: string, modes: Readonly<Record<string, Mode>>, options: { source?: string; config?: Partial<Config> } = {}) {
        const directory = join(folder, `writer-${++files}`);
        await mkdir(directory);
        const warehouse = await at.open(sync, directory);
        const log = (): void => {};
        const config = parser.parse({ ...at.config, ...options.config });
        const sink = new WarehouseSink({
          warehouse, sync, source: options.source ?? 'a', run: 'run', directory, config, log,
          afterLoad: new AfterLoad(warehouse, { postSql: config.post_sql ?? [], everyMs: undefined, log }),
        });
        const writer = new Writer(sync, warehouse, sink, new Map(Object.entries(modes).map(([name, mode]) => [name, schemaOf(`${sync}_${name}`, mode)])));
        const opened = await sink.open();
        writer.#seq = opened.seq;
        for (const schema of writer.#schemas.values()) sink.configure(schema);
        return { writer, ...opened };
      }

      stream(name: string): StreamDescriptor {
        return streamOf(`${this.#sync}_${name}`);
      }

      /** As the kit stages it. `more`: columns that the stream has by now, each with its name in every row. */
      async stage(name: string, generation: number, rows: readonly Row[], more: readonly string[] = []): Promise<Staged> {
        const known = this.#schemas.get(name)!;
        const schema = more.length === 0 ? known : schemaOf(known.configured.stream.name, known.configured.destination_sync_mode as Mode, more);
        const path = join(folder, `${++files}.parquet`);
        const values = rows.map(({ id, body, order, deleted }) => `(${id}, ${sqlString(body)}, ${deleted ? `TIMESTAMPTZ '2026-11-20 07:00:00+00'` : 'NULL'}, '${hex(order)}')`);
        const connection = await instance.connect();
        await connection.run(
          `COPY (SELECT id::BIGINT AS id, body, gone::TIMESTAMPTZ AS _ab_cdc_deleted_at, o AS _airbyte_raw_id, now() AS _airbyte_extracted_at, '{"changes":[]}' AS _airbyte_meta, `
          + `${generation}::BIGINT AS _airbyte_generation_id, o AS _tapline_order${more.map((column) => `, ${sqlString(column)} AS ${column}`).join('')} FROM (VALUES ${values.join(', ')}) v(id, body, gone, o)) TO ${sqlString(path)} (FORMAT parquet)`,
        );
        connection.closeSync();
        const staged = { stream: this.stream(name), schema, generation, rows: rows.length, bytes: 1, partition: '', unchanged: false, extra: false };
        // By turns as a converted file, and as batches.
        if (files % 2 === 0) return await this.sink.stage({ ...staged, path });
        return await this.sink.stageBatches({ ...staged, paths: [path], waits: files % 4 === 1, select: (paths) => `SELECT * FROM read_parquet([${paths.map(sqlString).join(', ')}])`, plain: undefined });
      }

      async commit(commit: Partial<Commit> = {}): Promise<void> {
        await this.sink.commit({ seq: this.#seq + 1, staged: [], states: [], stateId: this.#seq + 1, begun: [], completed: [], ...commit });
        this.#seq++;
        await this.sink.publish();
      }

      begin = (name: string, generation: number, minimum = generation): GenerationBegin => ({ stream: this.stream(name), generation, minimum });
      complete = (name: string, generation: number) => ({ ...this.stream(name), generation });

      /** What a reader sees: `id=body`, in order; undefined = no table. */
      async seen(name: string): Promise<string[] | undefined> {
        const { dialect } = this.#warehouse;
        const table = { schema: 'shop', table: `${this.#sync}_${name}` };
        const found = await this.#warehouse.run('SELECT 1 AS one FROM information_schema.tables WHERE table_schema = $1 AND table_name = $2', [table.schema, table.table]);
        if (found.length === 0) return undefined;
        return (await this.#warehouse.run(`SELECT id, body FROM ${dialect.table(table)} ORDER BY id, body`)).map(({ id, body }) => `${String(id)}=${String(body)}`);
      }

      async columns(name: string): Promise<string[]> {
        const rows = await this.#warehouse.run('SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2', ['shop', `${this.#sync}_${name}`]);
        return rows.map((row) => String(row['column_name']));
      }

      /** Tables that no reader knows. */
      async hidden(): Promise<string[]> {
        const rows = await this.#warehouse.run(`SELECT table_name FROM information_schema.tables WHERE table_schema IN ('shop', '_tapline') ORDER BY 1`);
        return rows.map((row) => String(row['table_name'])).filter((name) => /^(_tapline_)?g\d+_/.test(name) && name.includes(sync8(this.#sync)));
      }

      async [Symbol.asyncDispose](): Promise<void> {
        await this.sink[Symbol.asyncDispose]();
        await this.#warehouse[Symbol.asyncDispose]();
      }
    }

    const sync = (): string => `s${++syncs}`;
    const row = (id: number, body: string, order: number, deleted = false): Row => ({ id, body, order, deleted });
    const state = (stream: StreamDescriptor, cursor: number): string => JSON.stringify({ type: 'STREAM', stream: { stream_descriptor: stream, stream_state: { cursor } } });

    test('gives a checkpoint of what was committed, and the next writer a higher epoch', async () => {
      const name = sync();
      const first = await Writer.open(name, { orders: 'append' });
      expect(first.checkpoint).toBeNull();
      {
        await using writer = first.writer;
        const staged = [await writer.stage('orders', 1, [row(1, 'a', 1)])];
        await writer.commit({ staged, states: [state(writer.stream('orders'), 1)], stateId: 17 });
        expect(await writer.seen('orders')).toEqual(['1=a']);
      }
      const second = await Writer.open(name, { orders: 'append' });
      await using writer = second.writer;
      expect(second.epoch).toBe(first.epoch + 1);
      expect(second.seq).toBe(1);
      expect(second.checkpoint).toEqual({
        state_id: 17, source: 'a', states: [state(writer.stream('orders'), 1)], generations: { [`shop.${name}_orders`]: 1 }, open_generations: {},
      });
    });

    test('of two that are open only the later one commits; the other changes nothing, whatever it had staged. Where a file has a lock, there is no second', async () => {
      const name = sync();
      await using old = (await Writer.open(name, { orders: 'append_dedup' })).writer;
      if (!shared) {
        await expect(Writer.open(name, { orders: 'append_dedup' })).rejects.toMatchObject({ kind: 'transient_error', code: 'locked' });
        return;
      }
      await old.commit({ staged: [await old.stage('orders', 1, [row(1, 'a', 1)])] });
      const late = await old.stage('orders', 1, [row(1, 'late', 9), row(2, 'late', 10)]);
      await using young = (await Writer.open(name, { orders: 'append_dedup' })).writer;
      await young.commit({ staged: [await young.stage('orders', 1, [row(1, 'b', 2)])] });
      await expect(old.commit({ staged: [late] })).rejects.toMatchObject({ kind: 'transient_error', code: 'fenced' });
      expect(await young.seen('orders')).toEqual(['1=b']);
      await young.commit({ staged: [await young.stage('orders', 1, [row(1, 'c', 3)])] });
      expect(await young.seen('orders')).toEqual(['1=c']);
    });

    test('a commit that fails leaves tables and checkpoint as they were, and the writer may not go on as if it had', async () => {
      const name = sync();
      const { writer } = await Writer.open(name, { orders: 'append' });
      {
        await using first = writer;
        await first.commit({ staged: [await first.stage('orders', 1, [row(1, 'a', 1)])], states: [state(first.stream('orders'), 1)] });
        const whole = await first.stage('orders', 1, [row(2, 'b', 2)]);
        const broken = { ...(await first.stage('orders', 1, [row(3, 'c', 3)])), name: join(folder, 'nowhere.parquet') };
        await expect(first.commit({ staged: [whole, broken], states: [state(first.stream('orders'), 2)] })).rejects.toThrow();
        expect(await first.seen('orders')).toEqual(['1=a']);
      }
      const again = await Writer.open(name, { orders: 'append' });
      await using second = again.writer;
      expect(again.checkpoint?.states).toEqual([state(second.stream('orders'), 1)]);
      await second.commit({ staged: [await second.stage('orders', 1, [row(2, 'b', 2)])] });
      expect(await second.seen('orders')).toEqual(['1=a', '2=b']);
    });

    test.each<[Mode]>([['append'], ['append_dedup']])('a generation (%s) is durable and not seen, goes on with the next writer, and takes the place of the old one at its end', async (mode) => {
      const name = sync();
      {
        await using first = (await Writer.open(name, { orders: mode })).writer;
        await first.commit({ staged: [await first.stage('orders', 1, [row(1, 'old', 1), row(2, 'old', 2)])] });
        await first.commit({ begun: [first.begin('orders', 2)], staged: [await first.stage('orders', 2, [row(1, 'new', 3)])] });
        expect(await first.seen('orders')).toEqual(['1=old', '2=old']);
      }
      const { writer, checkpoint } = await Writer.open(name, { orders: mode });
      await using second = writer;
      expect(checkpoint?.open_generations).toEqual({ [`shop.${name}_orders`]: 2 });
      await second.commit({ begun: [second.begin('orders', 2)], staged: [await second.stage('orders', 2, [row(3, 'new', 4)])] });
      expect(await second.seen('orders')).toEqual(['1=old', '2=old']);
      await second.commit({ staged: [await second.stage('orders', 2, [row(4, 'new', 5)])], completed: [second.complete('orders', 2)] });
      expect(await second.seen('orders')).toEqual(['1=new', '3=new', '4=new']);
      expect(await second.hidden()).toEqual([]);
      await second.commit({ staged: [await second.stage('orders', 2, [row(5, 'newer', 6)])] });
      expect(await second.seen('orders')).toEqual(['1=new', '3=new', '4=new', '5=newer']);
    });

    test('of a generation that another source left open nothing is inherited, nor a state', async () => {
      const name = sync();
      {
        await using first = (await Writer.open(name, { orders: 'append' }, { source: 'a' })).writer;
        await first.commit({ begun: [first.begin('orders', 2)], staged: [await first.stage('orders', 2, [row(1, 'a', 1)])], states: [state(first.stream('orders'), 1)] });
      }
      await using second = (await Writer.open(name, { orders: 'append' }, { source: 'b' })).writer;
      await second.commit({ begun: [second.begin('orders', 3)], staged: [await second.stage('orders', 3, [row(2, 'b', 2)])], states: [state(second.stream('orders'), 1)], completed: [second.complete('orders', 3)] });
      expect(await second.seen('orders')).toEqual(['2=b']);
      expect(await second.hidden()).toEqual([]);
      await second[Symbol.asyncDispose]();
      const third = await Writer.open(name, { orders: 'append' }, { source: 'b' });
      await using _closed = third.writer;
      expect(third.checkpoint).toMatchObject({ source: 'b', states: [], open_generations: {} });
    });

    test('a deletion during the copy is no row afterwards, though the copied row came later', async () => {
      const name = sync();
      await using writer = (await Writer.open(name, { orders: 'append_dedup' })).writer;
      await writer.commit({ begun: [writer.begin('orders', 2)], staged: [await writer.stage('orders', 2, [row(1, '', 20, true), row(2, 'changed', 21)])] });
      await writer.commit({ staged: [await writer.stage('orders', 2, [row(1, 'copied', 10), row(2, 'copied', 11), row(3, 'copied', 12)])], completed: [writer.complete('orders', 2)] });
      expect(await writer.seen('orders')).toEqual(['2=changed', '3=copied']);
    });

    test('with a history a truncation closes what was there for the time of one commit', async () => {
      const name = sync();
      await using writer = (await Writer.open(name, { orders: 'append_dedup' }, { config: { history: 'scd2' } })).writer;
      await writer.commit({ staged: [await writer.stage('orders', 1, [row(1, 'a', 1)])] });
      await writer.commit({
        staged: [await writer.stage('orders', 1, [row(2, 'b', 2)]), await writer.stage('orders', 2, [row(3, 'c', 3)])],
        begun: [writer.begin('orders', 2)], completed: [writer.complete('orders', 2)],
      });
      expect(await writer.seen('orders')).toEqual(['1=a', '2=b', '3=c']);
    });

    test.each<[Mode, Partial<Config>]>([['append_dedup', { history: 'scd2' }], ['append_dedup', {}], ['append', {}]])(
      'columns that come between the rows, the truncations and the rows behind them of one commit are there with it (%s, %o)', async (mode, config) => {
        const name = sync();
        await using writer = (await Writer.open(name, { orders: mode }, { config })).writer;
        const minimum = config.history === undefined && mode === 'append_dedup' ? undefined : 0;
        await writer.commit({ staged: [await writer.stage('orders', 1, [row(1, 'a', 1), row(2, 'b', 2)])] });
        await writer.commit({
          staged: [
            await writer.stage('orders', 1, [row(1, 'a2', 3), row(3, 'c', 4)]), await writer.stage('orders', 1, [row(2, 'b2', 5)], ['first']),
            await writer.stage('orders', 2, [row(3, 'c2', 6)], ['first', 'second']), await writer.stage('orders', 3, [row(4, 'd', 7), row(3, 'c3', 8)], ['first', 'second', 'third']),
          ],
          begun: [writer.begin('orders', 2, minimum), writer.begin('orders', 3, minimum)], completed: [writer.complete('orders', 2), writer.complete('orders', 3)],
        });
        await writer.commit({ staged: [await writer.stage('orders', 3, [row(4, 'd2', 9)], ['first', 'second', 'third'])] });
        const all = ['1=a', '1=a2', '2=b', '2=b2', '3=c', '3=c2', '3=c3', '4=d', '4=d2'];
        expect(await writer.seen('orders')).toEqual(minimum === 0 ? all : ['3=c3', '4=d2']);
        expect(await writer.columns('orders')).toEqual(expect.arrayContaining(minimum === 0 ? ['first', 'second', 'third'] : ['third']));
        expect(await writer.hidden()).toEqual([]);
      });

    test('post_sql runs after the load, finds the tables by their plain names, and a failure of it names the statement', async () => {
      const name = sync();
      const view = `shop.${name}_view`;
      {
        await using writer = (await Writer.open(name, { orders: 'append' }, { config: { post_sql: [`CREATE VIEW ${view} AS SELECT count(*) AS n FROM shop.${name}_orders`] } })).writer;
        await writer.commit({ staged: [await writer.stage('orders', 1, [row(1, 'a', 1)])] });
        await writer.sink.finish();
      }
      await using second = (await Writer.open(name, { orders: 'append' }, { config: { post_sql: ['SELECT 1', `SELECT * FROM shop.nobody_${name}`] } })).writer;
      await second.commit({ staged: [await second.stage('orders', 1, [row(2, 'b', 2)])] });
      await expect(second.sink.finish()).rejects.toMatchObject({ kind: 'config_error', code: 'post_sql', message: expect.stringMatching(/statement 2 of post_sql failed.*nobody_/) as string });
      expect(await second.seen('orders')).toEqual(['1=a', '2=b']);
    });

    test.each(Array.from({ length: Number(process.env['SEEDS'] ?? 3) }, (_, seed) => [seed + 1]))('random histories of two streams, restarts among them, leave what a model leaves (seed %i)', async (seed) => {
      let random = seed * 7919;
      const below = (n: number): number => {
        random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
        return Math.floor((random / 2_147_483_648) * n);
      };
      const name = sync();
      const modes: Readonly<Record<string, Mode>> = { log: 'append', state: 'append_dedup' };
      const model = Object.fromEntries(Object.keys(modes).map((stream) => [stream, { visible: [] as Row[], open: undefined as Row[] | undefined, generation: 1 }]));
      let { writer } = await Writer.open(name, modes);
      let order = 0;
      try {
        for (let step = 0; step < 12; step++) {
          const staged: Staged[] = [];
          const begun: GenerationBegin[] = [];
          const completed: CompletedGeneration[] = [];
          for (const [stream, held] of Object.entries(model)) {
            if (below(5) === 0) {
              begun.push(writer.begin(stream, ++held.generation));
              held.open = [];
            } else if (held.open && below(6) === 0) begun.push(writer.begin(stream, held.generation));
            if (below(4) > 0) {
              const rows = Array.from({ length: 1 + below(6) }, () => row(below(8), `v${++order}`, order, modes[stream] === 'append_dedup' && below(5) === 0));
              staged.push(await writer.stage(stream, held.generation, rows));
              (held.open ?? held.visible).push(...rows);
            }
            if (held.open && below(3) === 0) {
              completed.push(writer.complete(stream, held.generation));
              held.visible = held.open;
              held.open = undefined;
            }
          }
          await writer.commit({ staged, begun, completed });
          for (const [stream, { visible }] of Object.entries(model)) {
            const last = new Map(visible.map((one) => [one.id, one]));
            const rows = modes[stream] === 'append' ? visible : [...last.values()].filter(({ deleted }) => !deleted);
            const wanted = rows.map(({ id, body }) => `${id}=${body}`).sort();
            expect(((await writer.seen(stream)) ?? []).sort(), `${stream} after step ${step}`).toEqual(wanted);
          }
          if (below(4) === 0) {
            await writer[Symbol.asyncDispose]();
            ({ writer } = await Writer.open(name, modes));
          }
        }
        expect(await writer.hidden()).toHaveLength(Object.values(model).filter(({ open }) => open).length);
      } finally {
        await writer[Symbol.asyncDispose]();
      }
    });
  });
}
