/** The pages of a row group, compressed: they wait until each column's can follow one another. */
import { boundsOfBoth, type Bounds } from './bounds.js';
import type { Chunk, RowGroup } from './footer.js';
import { dictionaryPage, headerOf, indexPage, type Page } from './page.js';
import { PageMaker } from './page-maker.js';
import { rowValues, type Constant, type FileRows, type LakeColumn } from './row-values.js';
import type { Compress } from './zstd.js';

interface OpenChunk {
  readonly maker: PageMaker;
  readonly parts: Uint8Array[];
  bytes: number;
  uncompressedBytes: number;
  nulls: number;
  /** Of all pages that have a value; 'none' = none had one. */
  bounds: Bounds | undefined | 'none';
}

export class OpenGroup {
  readonly #columns: readonly LakeColumn[];
  readonly #compress: Compress;
  readonly #chunks: OpenChunk[];
  /** Its files: their rows, and which they are. */
  readonly #files: { readonly rows: number; readonly number: number }[] = [];
  rawBytes = 0;

  constructor(columns: readonly LakeColumn[], compress: Compress) {
    this.#columns = columns;
    this.#compress = compress;
    this.#chunks = columns.map(({ type }) => ({ maker: new PageMaker(type), parts: [], bytes: 0, uncompressedBytes: 0, nulls: 0, bounds: 'none' }));
  }

  get files(): number {
    return this.#files.length;
  }

  /** False where the file is not what it seems. */
  async add({ number, ...file }: FileRows & { readonly number: number }): Promise<boolean> {
    const values = rowValues(this.#columns, file);
    if (!values) return false;
    await this.#put(values.map((one, i) => (one ? this.#chunks[i]!.maker.add(one) : [])));
    for (const one of values) if (one?.isTaken) file.memory.give(one.bytes);
    this.#files.push({ rows: file.form.rows, number });
    this.rawBytes += file.bytes.length;
    return true;
  }

  /** It begins at `offset` of the file. */
  async close(offset: number): Promise<RowGroup & { readonly parts: readonly Uint8Array[] }> {
    await this.#put(this.#columns.map((column, i) => (column.value.kind === 'constant' ? this.#constantPages(column, column.value) : this.#chunks[i]!.maker.rest())));
    let at = offset;
    const chunks = this.#chunks.map(({ parts, bytes, uncompressedBytes, nulls, bounds }, i): Chunk => {
      const column = this.#columns[i]!;
      // A page is its header and its body.
      const dictionaryBytes = column.value.kind === 'constant' ? parts[0]!.length + parts[1]!.length : 0;
      const chunk = { column, offset: at, dictionaryBytes, bytes, uncompressedBytes, nulls, bounds: bounds === 'none' ? undefined : bounds };
      at += bytes;
      return chunk;
    });
    return { rows: this.#files.reduce((sum, { rows }) => sum + rows, 0), chunks, parts: this.#chunks.flatMap(({ parts }) => parts) };
  }

  #constantPages({ type }: LakeColumn, { values }: Constant): Page[] {
    const keyOf = (number: number): string => values[number]!.toString('latin1');
    const distinct = new Map(this.#files.map(({ number }) => [keyOf(number), values[number]!]));
    const indexes = new Map([...distinct.keys()].map((key, index) => [key, index]));
    const bounds = [...distinct.values()].map((value): Bounds => {
      const bare = type.kind === 'text' ? value.subarray(4) : value;
      return { least: bare, greatest: bare };
    }).reduce<Bounds | undefined>((all, one) => boundsOfBoth(all ?? one, one, type), undefined);
    return [
      dictionaryPage([...distinct.values()], bounds),
      indexPage(this.#files.map(({ rows, number }) => ({ rows, index: indexes.get(keyOf(number))! })), distinct.size),
    ];
  }

  /** Pages of each column, behind those that it has. */
  async #put(pages: readonly (readonly Page[])[]): Promise<void> {
    const compressed = await Promise.all(pages.map((some) => Promise.all(some.map(({ body }) => this.#compress(body)))));
    pages.forEach((some, i) => {
      const chunk = this.#chunks[i]!;
      some.forEach((page, j) => {
        const body = compressed[i]![j]!;
        const header = headerOf(page, body.length);
        chunk.parts.push(header, body);
        chunk.bytes += header.length + body.length;
        chunk.uncompressedBytes += header.length + page.body.length;
        chunk.nulls += page.nulls;
        if (page.kind === 'indexes' || page.nulls === page.values) return;
        chunk.bounds = chunk.bounds === 'none' ? page.bounds : boundsOfBoth(chunk.bounds, page.bounds, this.#columns[i]!.type);
      });
    });
  }
}
