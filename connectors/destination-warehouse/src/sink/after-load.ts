/** What follows a load: fresh statistics, and the user's own statements. The data is committed by then, whatever happens here. */
import { configError, ConnectorError, toConnectorError, type LogLevel } from '@tapline/protocol';
import type { TableName } from '../dialects/dialect.js';
import { runAll } from '../run-all.js';
import type { Warehouse } from '../warehouse.js';

export interface AfterLoadOptions {
  readonly postSql: readonly string[];
  /** Milliseconds from one time to the next while a run goes on; undefined = at its end only. */
  readonly everyMs: number | undefined;
  readonly log: (level: LogLevel, message: string) => void;
}

export class AfterLoad {
  readonly #warehouse: Warehouse;
  readonly #options: AfterLoadOptions;
  readonly #loaded = new Map<string, TableName>();
  #last = performance.now();

  constructor(warehouse: Warehouse, options: AfterLoadOptions) {
    this.#warehouse = warehouse;
    this.#options = options;
  }

  loaded(table: TableName): void {
    this.#loaded.set(this.#warehouse.dialect.table(table), table);
  }

  /** After a commit, while the run goes on. */
  async committed(): Promise<void> {
    const { everyMs } = this.#options;
    if (everyMs !== undefined && performance.now() - this.#last >= everyMs) await this.run();
  }

  /** Nothing if no table was loaded since the last time. */
  async run(): Promise<void> {
    this.#last = performance.now();
    const tables = [...this.#loaded.values()];
    this.#loaded.clear();
    if (tables.length === 0) return;
    const { dialect, location } = this.#warehouse;
    for (const table of tables) {
      for (const statement of dialect.analyze(table)) {
        await this.#warehouse.run(statement).catch((error: unknown) =>
          this.#options.log('WARN', `the statistics of ${dialect.table(table)} are not fresh: ${toConnectorError(error).message}`));
      }
    }
    for (const [index, statement] of this.#options.postSql.entries()) {
      try {
        await this.#warehouse.transaction(async () => {
          await runAll(this.#warehouse, [...dialect.userSettings, statement]);
        });
      } catch (error) {
        const { kind, message } = toConnectorError(error);
        const told = `statement ${index + 1} of post_sql failed at ${location}: ${serverSaid(error) ?? message}. What was loaded is committed; correct post_sql, and run again`;
        throw kind === 'transient_error' ? new ConnectorError('transient_error', told, { code: 'post_sql', cause: error }) : configError(told, { code: 'post_sql', cause: error });
      }
    }
  }
}

/** In the server's own words where they are about the statement itself (SQLSTATE 42: names, syntax, rights), which quote no row. */
function serverSaid(error: unknown): string | undefined {
  const cause = (error as { cause?: unknown } | undefined)?.cause as { code?: unknown; message?: unknown } | undefined;
  return typeof cause?.code === 'string' && /^42[0-9A-Z]{3}$/.test(cause.code) ? `${String(cause.message)} (SQLSTATE ${cause.code})` : undefined;
}
