/**
 * A table of a source that replicates its changes, in a few lines: random transactions, copies of it under a snapshot, and the
 * records that both make. What it holds at any time is what the merged table must hold.
 */
import type { Random, Values } from './load.test.support.js';

export const changeTypes = {
  id: 'int64', n: 'int32', body: 'text', note: 'text', _ab_cdc_lsn: 'int64', _ab_cdc_updated_at: 'timestamptz', _ab_cdc_deleted_at: 'timestamptz',
} as const;

export interface SourceRow {
  readonly id: number;
  readonly n: number | null;
  readonly body: string | null;
  readonly note: string | null;
}

/** What became of a key, as the log tells it. */
export interface LogEntry {
  readonly key: number;
  readonly order: string;
  readonly generation: number;
  /** Milliseconds. */
  readonly time: number;
  /** Undefined = deleted. */
  readonly row: SourceRow | undefined;
}

const hex = (n: number): string => n.toString(16).padStart(16, '0');
const moment = (milliseconds: number): string => new Date(milliseconds).toISOString();

export class ChangingSource {
  readonly #random: Random;
  readonly #keys: number;
  readonly rows = new Map<number, SourceRow>();
  /** Of keys that were deleted: what they were, by the last deletion. */
  readonly deleted = new Map<number, { readonly row: SourceRow; readonly time: number }>();
  readonly entries: LogEntry[] = [];
  generation = 1;
  #lsn = 100;
  #time = Date.UTC(2026, 0, 1);
  #written = 0;

  constructor(random: Random, keys: number) {
    this.#random = random;
    this.#keys = keys;
  }

  /** The records of one transaction. */
  transaction(): Values[] {
    const random = this.#random;
    this.#lsn += 1 + random.below(3);
    // Clocks go back, and two transactions may have one time.
    this.#time += random.chance(10) ? -1500 : random.below(3) * 1000;
    const records: Values[] = [];
    for (let i = 1 + random.below(4); i > 0; i--) {
      const id = random.below(this.#keys);
      const old = this.rows.get(id);
      if (old === undefined) records.push(this.#put(records.length, { id, n: this.#number(), body: this.#text(), note: this.#text() }));
      else if (random.chance(25)) records.push(this.#delete(records.length, old));
      else if (random.chance(15)) {
        // A new key: the old row goes, and comes whole under the other.
        const other = random.below(this.#keys);
        if (this.rows.has(other)) continue;
        records.push(this.#delete(records.length, old), this.#put(records.length + 1, { ...old, id: other }));
      } else {
        const keeps = { body: random.chance(40), note: random.chance(30) };
        const row = { id, n: this.#number(), body: keeps.body ? old.body : this.#text(), note: keeps.note ? old.note : this.#text() };
        records.push(this.#put(records.length, row, Object.entries(keeps).flatMap(([name, keep]) => (keep && random.chance(70) ? [name] : []))));
      }
    }
    return records;
  }

  /** The rows as a snapshot sees them now: older than every change that follows. */
  copy(): Values[] {
    const time = this.#time;
    const lsn = this.#lsn;
    return [...this.rows.values()].map((row, i) => {
      const order = hex(lsn) + hex(i + 1);
      this.entries.push({ key: row.id, order, generation: this.generation, time, row });
      return this.#record(order, { ...row, _ab_cdc_lsn: lsn, _ab_cdc_updated_at: moment(time) });
    });
  }

  get time(): number {
    return this.#time;
  }

  #put(sequence: number, row: SourceRow, unchanged: readonly string[] = []): Values {
    this.rows.set(row.id, row);
    this.deleted.delete(row.id);
    const order = hex(this.#lsn) + hex(sequence + 1);
    this.entries.push({ key: row.id, order, generation: this.generation, time: this.#time, row });
    const marks = unchanged.length > 0 ? { ...Object.fromEntries(unchanged.map((name) => [name, null])), _tapline_unchanged: JSON.stringify(unchanged) } : {};
    return this.#record(order, { ...row, _ab_cdc_lsn: this.#lsn, _ab_cdc_updated_at: moment(this.#time), ...marks });
  }

  #delete(sequence: number, row: SourceRow): Values {
    this.rows.delete(row.id);
    this.deleted.set(row.id, { row, time: this.#time });
    const order = hex(this.#lsn) + hex(sequence + 1);
    this.entries.push({ key: row.id, order, generation: this.generation, time: this.#time, row: undefined });
    return this.#record(order, { id: row.id, _ab_cdc_lsn: this.#lsn, _ab_cdc_updated_at: moment(this.#time), _ab_cdc_deleted_at: moment(this.#time) });
  }

  #record(order: string, data: Values): Values {
    this.#written++;
    return { ...data, _airbyte_raw_id: `r${this.#written}`, _airbyte_extracted_at: moment(this.#time + 60_000), _airbyte_generation_id: this.generation, _tapline_order: order };
  }

  #number(): number | null {
    return this.#random.chance(10) ? null : this.#random.below(1000);
  }

  #text(): string | null {
    return this.#random.chance(10) ? null : `t${this.#random.below(100_000)}`;
  }
}
