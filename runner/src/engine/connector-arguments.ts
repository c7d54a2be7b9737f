import type { ConfiguredCatalog, Session } from '@tapline/protocol';
import type { RunContext } from './run-context.js';
import { sessionOf } from './session-file.js';
import { stateFile } from './state-file.js';

/** What is known of a run before the source has told its catalog. */
export interface ArgumentsOptions {
  /** In use with this connector: none = no session. */
  readonly extensions: readonly string[];
  /** The folder of this attempt's batches. */
  readonly batch: Session['batch'];
}

/** The rest. */
export interface Task {
  readonly catalog: ConfiguredCatalog;
  readonly identity: string;
  /** For a source: where it goes on. None = from the start. */
  readonly states?: readonly string[];
}

/**
 * The command line of `read` or `write`; writes the files that it names. Without a task only configuration and session: a connector that
 * waits for START is started before the others are there.
 */
export async function argumentsOf(context: RunContext, role: 'source' | 'destination', { extensions, batch }: ArgumentsOptions, task?: Task): Promise<string[]> {
  const { plan, runId, files } = context;
  const waits = extensions.includes('start');
  const args = [
    role === 'source' ? 'read' : 'write',
    '--config', await files.write(`${role}-config`, JSON.stringify(context[role].ref.config)),
    '--catalog', files.pathOf(`${role}-catalog`),
  ];
  // Others may know no file that means from the start.
  if (role === 'source' && (waits || (task?.states ?? []).length > 0)) args.push('--state', files.pathOf(`${role}-state`));
  if (extensions.length > 0) {
    const session = sessionOf({ role, plan, runId, identity: task?.identity ?? '', extensions, batch, scratch: await files.scratch(`${role}-scratch`) });
    args.push('--session', await files.write(`${role}-session`, JSON.stringify(session)));
  }
  if (task) await writeTask(context, role, task);
  return args;
}

/** The files that such a command line names already. */
export async function writeTask({ files }: RunContext, role: 'source' | 'destination', { catalog, states }: Task): Promise<void> {
  await files.write(`${role}-catalog`, JSON.stringify(catalog));
  if (states) await files.write(`${role}-state`, stateFile(states));
}
