/** What `runner verify` asks of a destination, and the order of the answers: the same for files and for tables. */
import { DigestRequest, toConnectorError, type DigestAnswer, type Holds, type RangeDigest, type RowDigest } from '@tapline/protocol';

export type Ask<Name extends DigestRequest['ask']> = Extract<DigestRequest, { readonly ask: Name }>;

export interface DigestDestination {
  readonly holds: Holds;
  /** Raw text of STATE bodies. */
  states(): Promise<readonly string[]>;
  ranges(request: Ask<'ranges'>): Promise<{ readonly ranges: readonly RangeDigest[]; readonly nulled: number; readonly notes: readonly string[] }>;
  rows(request: Ask<'rows'>): Promise<readonly RowDigest[]>;
}

/** Ranges and rows of one answer. */
const atOnce = 1_000;

/** What fails with one table is told, and the next is asked for; what fails otherwise ends it. */
export async function* answerDigest(destination: DigestDestination, requests: AsyncIterable<unknown>): AsyncGenerator<DigestAnswer, void, undefined> {
  for await (const asked of requests) {
    const request = DigestRequest.parse(asked);
    switch (request.ask) {
      case 'open':
        yield { is: 'opened', holds: destination.holds, states: [...(await destination.states())] };
        break;
      case 'states':
        yield { is: 'states', states: [...(await destination.states())] };
        break;
      case 'behind':
        // Of a position in its source's log it knows nothing.
        yield { is: 'behind', bytes: null };
        break;
      default:
        try {
          yield* request.ask === 'ranges' ? rangesOf(destination, request) : rowsOf(destination, request);
        } catch (thrown) {
          const { kind, message } = toConnectorError(thrown);
          yield { is: 'failed', kind, message };
        }
    }
  }
}

async function* rangesOf(destination: DigestDestination, request: Ask<'ranges'>): AsyncGenerator<DigestAnswer, void, undefined> {
  const { ranges, nulled, notes } = await destination.ranges(request);
  for (let at = 0; at < ranges.length; at += atOnce) yield { is: 'ranges', ranges: ranges.slice(at, at + atOnce) };
  yield { is: 'done', nulled, notes: [...notes] };
}

async function* rowsOf(destination: DigestDestination, request: Ask<'rows'>): AsyncGenerator<DigestAnswer, void, undefined> {
  const rows = await destination.rows(request);
  for (let at = 0; at < rows.length; at += atOnce) yield { is: 'rows', rows: rows.slice(at, at + atOnce) };
  yield { is: 'done' };
}
