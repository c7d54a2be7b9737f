/** What a BATCH line means to a run: as many records as it says, and a file that must be what it says. */
import { BatchMessage, failpoint, protocolError, type Session, type StreamDescriptor } from '@tapline/protocol';
import { lstatSync, rmSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import type { StreamTable } from './stream-table.js';

export interface BatchContext {
  /** Undefined: nobody asked for batches. */
  readonly batch: Session['batch'];
  readonly table: StreamTable;
  readonly unknownStream: (descriptor: StreamDescriptor) => void;
}

/** True = the line goes on to the destination; false = its stream is not selected, and the file is gone. Throws on a broken protocol. */
export function takeBatch(body: unknown, { batch, table, unknownStream }: BatchContext): boolean {
  if (!batch) throw protocolError('a BATCH came, and this run does not use batches');
  const { data, error } = BatchMessage.safeParse(body);
  if (!data) throw protocolError(`a BATCH does not have the form of the protocol: ${error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')}`);
  const { stream_descriptor: descriptor, path: name, format, rows, bytes } = data;
  if (format !== batch.format) throw protocolError(`the BATCH ${name} is ${format}, and this run uses ${batch.format}`);
  const path = join(batch.dir, name);
  requireWhole(name, lookedAt(path), bytes);
  const tally = table.find(descriptor);
  if (!tally) {
    unknownStream(descriptor);
    rmSync(path);
    return false;
  }
  tally.records += rows;
  tally.bytes += bytes;
  failpoint('runner.after_batch');
  return true;
}

function lookedAt(path: string): Stats | undefined {
  try {
    // Not through a link: the destination is told to read, and delete, what lies in this folder.
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

function requireWhole(name: string, file: Stats | undefined, bytes: number): void {
  if (!file) throw protocolError(`the BATCH ${name} is not in the folder of the batches`);
  if (!file.isFile()) throw protocolError(`the BATCH ${name} is not a regular file`);
  if (file.size !== bytes) throw protocolError(`the BATCH ${name} is said to have ${bytes} bytes, and has ${file.size}`);
}
