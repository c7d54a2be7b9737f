import type { PlainSource } from '@tapline/columnar';
import { describe, expect, test } from 'vitest';
import { sourcesOf } from '../tables/sources.js';
import type { TableShape } from '../tables/shape.js';
import { shapeOf, typed, type ShapeOptions } from './load.test.support.js';
import { plainLoad } from './plain-load.js';
import type { LoadFile } from './requests.js';

const types = { id: 'int64', body: 'text', price: 'decimal(9,2)' };

interface FileOptions {
  readonly types?: Readonly<Record<string, string>>;
  readonly nullable?: readonly string[];
  /** Columns that the files do not have. */
  readonly without?: readonly string[];
  readonly isPlain?: boolean;
}

/** Batches of a stream whose columns lie in the files in the order in which they are declared. */
function file(shape: TableShape, { types: declared = types, nullable = [], without = [], isPlain = true }: FileOptions = {}): LoadFile {
  const columns = Object.entries(declared).map(([name, type]) => ({ field: name, name, type: typed(type) }));
  const found = columns.filter(({ name }) => !without.includes(name)).map(({ name }, index): [string, PlainSource] => [name, { index, nullable: nullable.includes(name) }]);
  const rows = { files: [{ rows: 1, emittedAt: 0 }], columns: new Map(found), order: undefined, orderPrefix: '', firstRow: 1, rawIdPrefix: '', generation: 1, meta: '{}' };
  return {
    rows: { select: 'SELECT', plain: isPlain ? { rows, paths: ['1.parquet'] } : undefined }, unchanged: false,
    sources: sourcesOf(shape, { columns, ownOrder: false, typed: true, leftOut: [], warnings: [] }),
  };
}

const shape = (more: Partial<ShapeOptions> = {}): TableShape => shapeOf({ write: 'append', types, ...more });
const values = (load: ReturnType<typeof plainLoad>): unknown => load?.columns.map(({ name, value }) => [name, value.kind === 'field' ? value.index : value.kind]);
const own = [['_airbyte_raw_id', 'raw_id'], ['_airbyte_extracted_at', 'extracted_at'], ['_airbyte_meta', 'meta'], ['_airbyte_generation_id', 'generation'], ['_tapline_order', 'order']];

describe('batches go into a table as they lie in their files', () => {
  test('where every record is a row, and the columns are those of the files', () => {
    const load = plainLoad({ shape: shape(), files: [file(shape()), file(shape())], open: false });
    expect(values(load)).toEqual([['id', 0], ['body', 1], ['price', 2], ...own]);
    expect([load?.parts.length, load?.unseen]).toEqual([2, false]);
  });

  test('into the table of an open generation, which has a marker that is empty, if every row has a key', () => {
    const merged = shape({ write: 'merge', key: ['id'] });
    expect(values(plainLoad({ shape: merged, files: [file(merged)], open: true }))).toEqual([['id', 0], ['body', 1], ['price', 2], ...own, ['_tapline_unchanged', 'null']]);
    expect(plainLoad({ shape: merged, files: [file(merged)], open: true })?.unseen).toBe(true);
    expect(plainLoad({ shape: merged, files: [file(merged, { nullable: ['id'] })], open: true })).toBeUndefined();
    expect(plainLoad({ shape: merged, files: [file(merged, { without: ['id'] })], open: true })).toBeUndefined();
  });

  test('a column that the files do not have is null', () => {
    expect(values(plainLoad({ shape: shape(), files: [file(shape(), { without: ['body'] })], open: false }))).toEqual([['id', 0], ['body', 'null'], ['price', 1], ...own]);
  });

  test.each<[string, ReturnType<typeof plainLoad>]>([
    ['rows that are merged', plainLoad({ shape: shape({ write: 'merge', key: ['id'] }), files: [file(shape({ write: 'merge', key: ['id'] }))], open: false })],
    ['a value of another type', plainLoad({ shape: shape(), files: [file(shape(), { types: { ...types, price: 'decimal(8,2)' } })], open: false })],
    ['files that need the engine', plainLoad({ shape: shape(), files: [file(shape()), file(shape(), { isPlain: false })], open: false })],
    ['files that are unlike each other', plainLoad({ shape: shape(), files: [file(shape()), file(shape(), { without: ['body'] })], open: false })],
  ])('but not %s', (_what, load) => expect(load).toBeUndefined());
});
