/** What each message of a source means to a run. */
import { LagMessage, protocolError, stateBodyOf, stateLine, streamKey, type ConnectorError, type Session, type StreamDescriptor } from '@tapline/protocol';
import { takeBatch } from './batch-lines.js';
import { takeMessage } from './connector-messages.js';
import { Router } from './route.js';
import { renew, type RunContext } from './run-context.js';
import type { Extensions } from './session-file.js';
import type { SourceChanges } from './source-changes.js';
import type { StateLedger } from './state-ledger.js';
import type { StreamTable } from './stream-table.js';

export interface SourceRouterOptions {
  readonly table: StreamTable;
  readonly ledger: StateLedger;
  /** Those in use. */
  readonly extensions: Extensions;
  readonly changes: SourceChanges;
  /** As both ends were told; undefined = records go as lines only. */
  readonly batch: Session['batch'];
  /** `stopped`: it was asked to stop, and did. */
  readonly onEnd: (stopped: boolean) => void;
  readonly onError: (error: ConnectorError) => void;
}

export function sourceRouter(context: RunContext, options: SourceRouterOptions): Router {
  const { source, reporter, progress } = context;
  const { ref, redact, junk } = source;
  const { table, ledger, extensions, changes, batch } = options;
  const uses = (extension: string): boolean => extensions.source.includes(extension);
  /** What a message that is not forwarded itself brings the destination. */
  let forDestination: Buffer | undefined;
  const listener = {
    error: (error: ConnectorError): void => {
      const tally = error.stream && table.find(error.stream as StreamDescriptor);
      if (tally) tally.error ??= error;
      options.onError(error);
    },
    status: (descriptor: StreamDescriptor, status: 'STARTED' | 'RUNNING' | 'COMPLETE' | 'INCOMPLETE'): void => {
      const tally = table.find(descriptor);
      if (tally) tally.status = status;
      // At its end a run says COMPLETE of all; a run without an end does not wait for that.
      if (status === 'COMPLETE' && context.plan.continuous && uses('end') && extensions.destination.includes('generation')) {
        forDestination = changes.complete(descriptor);
      }
    },
    estimate: (descriptor: StreamDescriptor | undefined, rows: number): void => {
      const tally = descriptor && table.find(descriptor);
      if (tally) tally.estimate = rows;
      else if (!descriptor) progress.estimateSync(rows);
    },
    config: (config: Readonly<Record<string, unknown>>): void => renew(source, context, config),
  };
  const unknownStream = (stream: StreamDescriptor): void => {
    const key = streamKey(stream);
    junk.once(`stream ${key}`, `${ref.label} sends records of ${key}, which is not among the selected streams; they are left out`);
  };
  const router: Router = new Router(table, {
    state: (line) => Buffer.from(stateLine(ledger.send(stateBodyOf(line)).tagged)),
    junk: (line, number) => junk.line(line, number),
    unknownStream,
    extension: (line, { bodyStart, bodyEnd }) => {
      const body = bodyStart === -1 ? {} : parse(line.toString('utf8', bodyStart, bodyEnd));
      const { type = '' } = body;
      if (type === 'END' && uses('end')) {
        const stopped = body['stopped'] === true;
        if (context.plan.continuous && !stopped) junk.once('end of a continuous run', `${ref.label} has read all there is and ended: --continuous is for sources that stream`);
        options.onEnd(stopped);
        return false;
      }
      // Of all extensions the one that carries records: to pass it over would lose them.
      if (type === 'BATCH') return takeBatch(body, { batch, table, unknownStream });
      if (type === 'SCHEMA' && uses('schema')) {
        const schema = changes.schema(body);
        if (schema?.appeared) router.streamsChanged();
        return schema?.line ?? false;
      }
      if (type === 'GENERATION' && uses('generation')) return changes.generation(body) ?? false;
      if (type === 'LAG' && uses('lag')) {
        progress.lag = LagMessage.safeParse(body).data;
        return false;
      }
      junk.once(`extension ${type}`, `${ref.label} sent ${JSON.stringify(type)}, which this run does not use; it is ignored`);
      return false;
    },
    message: (line, envelope) => {
      forDestination = undefined;
      if (!takeMessage(line, envelope, { ref, redact, reporter, junk, listener })) junk.unknownType(envelope.type);
      return forDestination;
    },
  });
  return router;
}

function parse(text: string): { readonly type?: string; readonly [member: string]: unknown } {
  try {
    return JSON.parse(text) as { type?: string };
  } catch {
    throw protocolError(`a TAPLINE message of ${text.length} characters is not valid JSON`);
  }
}
