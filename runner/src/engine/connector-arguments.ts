import type { ConfiguredCatalog, Session } from '@tapline/protocol';
import type { RunContext } from './run-context.js';
import { sessionOf } from './session-file.js';
import { stateFile } from './state-file.js';

export interface ArgumentsOptions {
  readonly catalog: ConfiguredCatalog;
  /** In use with this connector: none = no session. */
  readonly extensions: readonly string[];
  readonly identity: string;
  /** The folder of this attempt's batches. */
  readonly batch: Session['batch'];
  /** For a source: where it goes on. None = the flag is left out. */
  readonly states?: readonly string[];
}

/** The command line of `read` or `write`; writes the files that it names. */
export async function argumentsOf(context: RunContext, role: 'source' | 'destination', options: ArgumentsOptions): Promise<string[]> {
  const { plan, runId, files } = context;
  const { catalog, extensions, identity, batch, states = [] } = options;
  const args = [
    role === 'source' ? 'read' : 'write',
    '--config', await files.write(`${role}-config`, JSON.stringify(context[role].ref.config)),
    '--catalog', await files.write(`${role}-catalog`, JSON.stringify(catalog)),
  ];
  if (states.length > 0) args.push('--state', await files.write(`${role}-state`, stateFile(states)));
  if (extensions.length > 0) {
    const session = sessionOf({ role, plan, runId, identity, extensions, batch, scratch: await files.scratch(`${role}-scratch`) });
    args.push('--session', await files.write(`${role}-session`, JSON.stringify(session)));
  }
  return args;
}
