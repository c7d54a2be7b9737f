/** A spool of raw RECORD lines to a file of walked lines. */
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { protocolError, readBlocks, splitBlock, type StreamDescriptor } from '@tapline/protocol';
import type { ColumnPlan } from './column-plan.js';
import type { LargeCell } from './line-sql.js';
import { RecordWalker, largeText } from './walk-record.js';

export interface WalkedFile {
  readonly rows: number;
  /** Records without `data`: left out. */
  readonly dropped: number;
  readonly longestLine: number;
  readonly undeclared: ReadonlySet<string>;
  /** Values that lie in files of their own. */
  readonly large: readonly LargeCell[];
}

export interface WalkRequest {
  readonly input: string;
  readonly output: string;
  readonly plan: ColumnPlan;
  readonly stream: StreamDescriptor;
  readonly streamName: string;
  /** Number of the first line among the stream's records of this run, from 1: for messages. */
  readonly firstLine: number;
  /** What a record calls unchanged is kept, too. */
  readonly unchanged: boolean;
  /** Values of so many bytes and more go to files of their own. */
  readonly largeFrom: number;
}

/** Written in pieces of this size, so that no file of small writes arises. */
const pieceBytes = 1 << 20;

/** Throws a protocol error that names the stream and the line's number for a line that is no record; never its content. */
export async function walkFile(request: WalkRequest): Promise<WalkedFile> {
  const walker = new RecordWalker(request.plan, request);
  const large: LargeCell[] = [];
  const undeclared = new Set<string>();
  let [rows, dropped, longestLine, line] = [0, 0, 0, request.firstLine];
  const output = await open(request.output, 'w');
  try {
    // Encoded line by line: strings that die young cost little.
    const piece = Buffer.allocUnsafe(pieceBytes);
    let used = 0;
    const flush = async (): Promise<void> => {
      if (used > 0) await output.appendFile(piece.subarray(0, used));
      used = 0;
    };
    for await (const block of readBlocks(createReadStream(request.input, { highWaterMark: pieceBytes }))) {
      const valid = isUtf8(block);
      for (const { bytes } of splitBlock(block)) {
        const walked = walker.walk(bytes, valid);
        if (walked === 'malformed') throw malformed(request, line, bytes.length);
        line++;
        if (walked === 'no_data') {
          dropped++;
          continue;
        }
        rows++;
        for (const field of walked.undeclared) undeclared.add(field);
        for (const value of walked.large) {
          const path = `${request.output}.${large.length}`;
          await writeFile(path, largeText(bytes, value));
          large.push({ row: rows, column: value.column, path });
        }
        if (used + walked.line.length > pieceBytes) await flush();
        if (walked.line.length > pieceBytes) await output.appendFile(Buffer.from(walked.line, 'latin1'));
        else used += piece.write(walked.line, used, 'latin1');
        longestLine = Math.max(longestLine, walked.line.length);
      }
    }
    await flush();
  } finally {
    await output.close();
  }
  return { rows, dropped, longestLine, undeclared, large };
}

const malformed = ({ stream, streamName }: WalkRequest, line: number, bytes: number): Error =>
  protocolError(`stream ${streamName}: record ${line} (a line of ${bytes} bytes) is not valid JSON of the form of a RECORD`, { stream });
