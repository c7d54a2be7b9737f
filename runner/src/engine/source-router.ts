/** What each message of a source means to a run. */
import { stateBodyOf, stateLine, streamKey, type ConnectorError, type StreamDescriptor } from '@tapline/protocol';
import { takeMessage } from './connector-messages.js';
import { Router } from './route.js';
import { renew, type RunContext } from './run-context.js';
import type { StateLedger } from './state-ledger.js';
import type { StreamTable } from './stream-table.js';

export interface SourceRouterOptions {
  readonly table: StreamTable;
  readonly ledger: StateLedger;
  /** Those in use. */
  readonly extensions: { readonly source: readonly string[]; readonly destination: readonly string[] };
  readonly onEnd: () => void;
  readonly onError: (error: ConnectorError) => void;
}

const passedOn: Readonly<Record<string, string>> = { SCHEMA: 'schema', GENERATION: 'generation' };

export function sourceRouter(context: RunContext, options: SourceRouterOptions): Router {
  const { source, reporter, progress } = context;
  const { ref, redact, junk } = source;
  const { table, ledger, extensions } = options;
  const listener = {
    error: (error: ConnectorError): void => {
      const tally = error.stream && table.find(error.stream as StreamDescriptor);
      if (tally) tally.error ??= error;
      options.onError(error);
    },
    status: (descriptor: StreamDescriptor, status: 'STARTED' | 'RUNNING' | 'COMPLETE' | 'INCOMPLETE'): void => {
      const tally = table.find(descriptor);
      if (tally) tally.status = status;
    },
    estimate: (descriptor: StreamDescriptor | undefined, rows: number): void => {
      const tally = descriptor && table.find(descriptor);
      if (tally) tally.estimate = rows;
      else if (!descriptor) progress.estimateSync(rows);
    },
    config: (config: Readonly<Record<string, unknown>>): void => renew(source, context, config),
  };
  return new Router(table, {
    state: (line) => Buffer.from(stateLine(ledger.send(stateBodyOf(line)).tagged)),
    junk: (line, number) => junk.line(line, number),
    unknownStream: (stream) => {
      const key = streamKey(stream);
      junk.once(`stream ${key}`, `${ref.label} sends records of ${key}, which is not among the selected streams; they are left out`);
    },
    extension: (line, { bodyStart, bodyEnd }) => {
      const { type = '' } = bodyStart === -1 ? {} : (JSON.parse(line.toString('utf8', bodyStart, bodyEnd)) as { type?: string });
      if (type === 'END' && extensions.source.includes('end')) {
        if (context.plan.continuous) junk.once('end of a continuous run', `${ref.label} has read all there is and ended: --continuous is for sources that stream`);
        options.onEnd();
        return false;
      }
      const extension = passedOn[type];
      if (extension && extensions.source.includes(extension) && extensions.destination.includes(extension)) return true;
      junk.once(`extension ${type}`, `${ref.label} sent ${JSON.stringify(type)}, which this run does not use; it is ignored`);
      return false;
    },
    message: (line, envelope) => {
      if (!takeMessage(line, envelope, { ref, redact, reporter, junk, listener })) junk.unknownType(envelope.type);
    },
  });
}
