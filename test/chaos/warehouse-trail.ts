/** What the load did, transaction by transaction, as the database itself wrote it down: what a warehouse may show, and what a history must hold. */
import type { TestDatabase } from '../services/test-database.js';
import { deletedStep } from './cdc-load.js';

/** SQL, once the load's own tables are there: what was rolled back is not in it either. */
export const trailSchema = `
  CREATE TABLE aside.trail (serial bigserial PRIMARY KEY, tx xid8 NOT NULL DEFAULT pg_current_xact_id(), block bigint NOT NULL, writer int NOT NULL, name text NOT NULL, size int NOT NULL, step int NOT NULL);
  CREATE FUNCTION aside.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO aside.trail (block, writer, name, size, step) VALUES (NEW.block, NEW.writer, NEW.name, NEW.size, NEW.step);
    RETURN NULL;
  END $$;
  CREATE TRIGGER noted AFTER INSERT OR UPDATE ON aside.blocks FOR EACH ROW EXECUTE FUNCTION aside.note();`;

/** What one transaction left of one block. */
export interface Footprint {
  readonly block: number;
  readonly name: string;
  readonly size: number;
  /** The last step in it; the deleted one = not there. */
  readonly step: number;
}

export interface Transaction {
  readonly writer: number;
  /** When it was committed, `YYYY-MM-DDTHH:MM:SS.ffffff` in UTC; '' where the server keeps no such times. */
  readonly at: string;
  readonly left: readonly Footprint[];
}

/** All that was committed, each writer's in its order. */
export async function trailOf(database: TestDatabase): Promise<Transaction[]> {
  const rows = await database.query<{ tx: string; writer: number; at: string; block: string; name: string; size: number; step: number }>(
    `SELECT tx::text, writer, block, name, size, max(step) AS step, coalesce(to_char((CASE WHEN current_setting('track_commit_timestamp')::bool THEN pg_xact_commit_timestamp(tx::xid) END) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '') AS at
       FROM aside.trail GROUP BY tx, writer, block, name, size ORDER BY min(min(serial)) OVER (PARTITION BY tx), block`,
  );
  const found = new Map<string, { writer: number; at: string; left: Footprint[] }>();
  for (const { tx, writer, at, block, name, size, step } of rows) {
    const transaction = found.get(tx) ?? { writer, at, left: [] };
    transaction.left.push({ block: Number(block), name, size, step });
    found.set(tx, transaction);
  }
  return [...found.values()];
}

/** Of a block what a reader sees: its rows' step, or undefined where there is none. */
export type Seen = ReadonlyMap<number, number>;

/** Empty = there is, for each writer, a moment between two of its transactions at which the database was as the reader sees it. */
export function tornTransactions(trail: readonly Transaction[], seen: Seen): string[] {
  const found: string[] = [];
  for (const writer of new Set(trail.map((one) => one.writer))) {
    const own = trail.filter((one) => one.writer === writer);
    const now = new Map<number, number>();
    const wrong = new Set(own.flatMap(({ left }) => left.map(({ block }) => block)).filter((block) => seen.has(block)));
    let best: { wrong: number[]; after: number } = { wrong: [...wrong], after: 0 };
    for (const [index, { left }] of own.entries()) {
      if (wrong.size === 0) break;
      for (const { block, step } of left) {
        now.set(block, step);
        const there = step === deletedStep ? undefined : step;
        if (seen.get(block) === there) wrong.delete(block);
        else wrong.add(block);
      }
      if (wrong.size < best.wrong.length) best = { wrong: [...wrong], after: index + 1 };
    }
    if (wrong.size === 0 || best.wrong.length === 0) continue;
    const told = best.wrong.slice(0, 5).map((block) => `block ${block} at ${seen.get(block) ?? 'nothing'}`);
    found.push(`no moment of writer ${writer} is like this: nearest after ${best.after} of ${own.length} transactions, but for ${told.join(', ')}`);
  }
  return found;
}
