/** Cases that go through the destination together: what each of them syncs first in one process, then what each syncs next, and so on. */
import { beforeAll, expect, test } from 'vitest';
import type { TestWarehouse } from '../harness/warehouse.js';
import { write, type Stream, type Written } from './warehouse-writer.js';

export interface CaseSync {
  readonly streams: readonly Stream[];
  readonly lines: string | readonly string[];
  /** What must be so afterwards. */
  after?(written: Written): Promise<void> | void;
}

export interface Case {
  /** The name of the case, and its claim. */
  readonly title: string;
  /** `schema`: of the case's own. */
  syncs(schema: string): readonly CaseSync[];
}

export interface CasesOptions {
  readonly at: () => TestWarehouse;
  /** Of the sync, and before the names of the schemas. */
  readonly name: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** One test a case. A process that fails fails them all, and says by which stream. */
export function cases({ at, name, options = {} }: CasesOptions, all: readonly Case[]): void {
  const failures = new Map<string, unknown>();
  let ran = false;
  beforeAll(async () => {
    const left = all.map((one, i) => ({ one, syncs: [...one.syncs(`${name}_${i + 1}`)] }));
    for (let round = left.filter(({ syncs }) => syncs.length > 0); round.length > 0; round = round.filter(({ syncs }) => syncs.length > 0)) {
      const now = round.map(({ one, syncs }) => ({ one, sync: syncs.shift()! }));
      const written = await write(at(), { streams: now.flatMap(({ sync }) => sync.streams), sync: name, options, lines: now.flatMap(({ sync }) => sync.lines) });
      for (const { one, sync } of now) {
        if (failures.has(one.title)) continue;
        try {
          await sync.after?.(written);
        } catch (error) {
          failures.set(one.title, error);
        }
      }
    }
    ran = true;
  });
  test.each(all.map(({ title }) => title))('%s', (title) => {
    expect(ran).toBe(true);
    if (failures.has(title)) throw failures.get(title);
  });
}
