/** A {@link Spool} of batch files, each with the same fields in the same order. */
import { rm } from 'node:fs/promises';
import { moveFile } from '../move-file.js';
import type { BatchFile } from '../convert/batch-forms.js';
import type { SpooledBatches } from '../convert/convert-request.js';
import { unchangedColumn } from '../convert/column-plan.js';
import { SpoolBase, type SpoolOrigin } from './spool.js';

export interface BatchSpoolOrigin extends SpoolOrigin {
  /** Field of each column of the files. */
  readonly columns: readonly string[];
  /** What is unchanged is looked for. */
  readonly partial: boolean;
}

export class BatchSpool extends SpoolBase {
  readonly #columns: readonly string[];
  readonly #partial: boolean;
  #files: BatchFile[] = [];
  #sealedFiles = 0;
  /** Files that are where the source has put them come after these. */
  #moved = 0;
  #moving: Promise<void> = Promise.resolve();
  #begun = false;

  constructor(origin: BatchSpoolOrigin) {
    super(origin);
    this.#columns = origin.columns;
    this.#partial = origin.partial;
    this.unchanged = origin.partial && origin.columns.includes(unchangedColumn);
  }

  get widestRow(): number {
    return this.bytes / Math.max(this.rows, 1);
  }

  get input(): SpooledBatches {
    return { columns: this.#columns, files: this.#files };
  }

  /** Bytes of files that lie where the source has put them, and that nobody works on. */
  get heldBytes(): number {
    return this.#begun ? 0 : bytesOf(this.#files.slice(this.#moved));
  }

  has(columns: readonly string[]): boolean {
    return columns.length === this.#columns.length && columns.every((column, i) => column === this.#columns[i]);
  }

  append(file: BatchFile): void {
    this.#files.push(file);
    this.rows += file.rows;
    this.bytes += file.bytes;
  }

  override seal(): void {
    super.seal();
    this.#sealedFiles = this.#files.length;
  }

  /** All files of so far move; whoever works on the spool then waits for it. Where somebody does already they stay: they leave with his work. */
  moveAway(newPath: () => string): Promise<void> {
    if (this.#begun) return this.#moving;
    const files = this.#files.slice(this.#moved);
    this.#moved = this.#files.length;
    this.#moving = this.#moving.then(async () => {
      for (const file of files) {
        const to = newPath();
        await moveFile(file.path, to);
        file.path = to;
      }
    });
    this.#moving.catch(() => undefined);
    return this.#moving;
  }

  async write(): Promise<void> {
    this.#begun = true;
    await this.#moving;
  }

  split(): BatchSpool {
    const { schema, generation, firstLine } = this;
    const tail = new BatchSpool({ schema, generation, firstLine: firstLine + this.sealedRows, columns: this.#columns, partial: this.#partial });
    tail.#files = this.#files.splice(this.#sealedFiles);
    tail.#moved = Math.max(this.#moved - this.#sealedFiles, 0);
    this.#moved = Math.min(this.#moved, this.#sealedFiles);
    tail.#moving = this.#moving;
    this.moveTail(tail, bytesOf(tail.#files));
    return tail;
  }

  async remove(): Promise<void> {
    await this.write().catch(() => undefined);
    await Promise.all(this.#files.map(({ path }) => rm(path, { force: true })));
  }
}

const bytesOf = (files: readonly BatchFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);
