import { measure } from './measure.js';
import { benchProgram } from './tapline.js';

/** Rows of a statement in a DuckDB of its own; the last one's where there are several. A process of its own: what it takes is not the bench's. */
export async function askDuckdb(sql: string): Promise<Record<string, unknown>[]> {
  const { stdout } = await measure(process.execPath, [benchProgram('duckdb-run.js'), sql], { memory: false });
  return JSON.parse(stdout) as Record<string, unknown>[];
}
