/** Makes an executable out of a definition. */
import {
  armFailpoints, exitCodeOf, ExitCode, systemError, toConnectorError, type LogLevel, type Session,
} from '@tapline/protocol';
import { parseArguments, usage, UsageError, type Arguments, type FileFlag } from './arguments.js';
import type { DestinationDefinition, SourceDefinition, VerbContext, WriteContext } from './definition.js';
import { readCatalog, readConfig, readJson, readSession, readStates } from './input-files.js';
import { runRead } from './read.js';
import { Shutdown } from './shutdown.js';
import { specOf } from './spec.js';
import { startOf } from './start.js';
import { takeStdout, type Stdout } from './stdout.js';
import { jsonLines, runTool } from './tool.js';
import { RecordIntake } from './write.js';

type AnyDefinition<Config> = SourceDefinition<Config> | DestinationDefinition<Config>;

/**
 * Runs the verb of the command line, and ends the process when stdout has drained. From the call on stdout belongs to the
 * protocol: `console.log` and whatever else prints go to stderr.
 */
export async function run<Config>(definition: AnyDefinition<Config>, argv: readonly string[] = process.argv): Promise<void> {
  const stdout = takeStdout();
  const fail = async (error: unknown): Promise<never> => {
    await stdout.output.error(error);
    return stdout.exit(exitCodeOf(toConnectorError(error)));
  };
  let dying = false;
  const die = (error: unknown): void => {
    if (dying) return;
    dying = true;
    void fail(systemError(`${definition.name} met a fault of its own: ${toConnectorError(error).message}`, { code: 'uncaught', cause: error }));
  };
  process.on('uncaughtException', die).on('unhandledRejection', die);

  let args: Arguments | 'help';
  try {
    args = parseArguments(definition as AnyDefinition<never>, argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) return fail(error);
    process.stderr.write(`${error.message}\n\n${usage(definition as AnyDefinition<never>)}`);
    return stdout.exit(ExitCode.config);
  }
  if (args === 'help') {
    process.stderr.write(usage(definition as AnyDefinition<never>));
    return stdout.exit(ExitCode.ok);
  }
  try {
    await stdout.exit(await runVerb(definition, args, stdout));
  } catch (error) {
    await fail(error);
  }
}

async function runVerb<Config>(definition: AnyDefinition<Config>, { verb, tool, files }: Arguments, stdout: Stdout): Promise<number> {
  const { output } = stdout;
  if (verb === 'spec') {
    await output.message({ type: 'SPEC', spec: specOf(definition) });
    return ExitCode.ok;
  }
  const shutdown = new Shutdown();
  shutdown.onSignals();
  shutdown.onParentDeath();
  // These have nothing to finish.
  if (verb === 'check' || verb === 'discover' || verb === 'tool') shutdown.signal.addEventListener('abort', () => void stdout.exit(shutdown.exitCode));

  const given = await readSession(files.session);
  if (given?.failpoints) armFailpoints(given.failpoints);
  const file = (flag: FileFlag): string => files[flag]!;
  const waits = (verb === 'read' || verb === 'write') && given?.extensions.includes('start');
  const session = given && waits ? await started(definition, { session: given, config: file('config'), signal: shutdown.signal }) : given;
  // It is not wanted any more.
  if (waits && !session) return shutdown.signal.aborted ? shutdown.exitCode : ExitCode.ok;
  const context = async (): Promise<VerbContext<Config>> => ({
    config: await readConfig(definition.config, file('config')),
    signal: shutdown.signal,
    log: (level: LogLevel, message: string) => void output.log(level, message).catch(() => {}),
  });

  if (verb === 'check') return check(definition, context, stdout);
  if (tool !== undefined) {
    const base = await context();
    const catalog = files.catalog === undefined ? undefined : await readCatalog(definition, files.catalog);
    const questions = files.args === undefined ? undefined : await readJson('args', files.args);
    await runTool(definition.tools![tool]!, { ...base, catalog, session, requests: jsonLines(process.stdin) }, questions, output);
    return ExitCode.ok;
  }
  if ('read' in definition) {
    if (verb === 'discover') {
      await output.message({ type: 'CATALOG', catalog: await definition.discover(await context()) });
      return ExitCode.ok;
    }
    const base = await context();
    const catalog = await readCatalog(definition, file('catalog'));
    const states = await readStates(files.state);
    const { stateOf, streamStates, globalState } = states;
    return runRead({ definition, context: { ...base, catalog, stateOf, streamStates, globalState, session }, states, stdout, shutdown });
  }
  const base = await context();
  const catalog = await readCatalog(definition, file('catalog'));
  return write(definition, { ...base, catalog, session }, stdout, shutdown);
}

/** The session once START has come; undefined if it never will. The time until then is for loading code. */
async function started<Config>(
  definition: AnyDefinition<Config>,
  { session, config, signal }: { readonly session: Session; readonly config: string; readonly signal: AbortSignal },
): Promise<Session | undefined> {
  const start = startOf(process.stdin, signal);
  if (definition.prepare) {
    // What it cannot do now it meets again, and tells then.
    void readConfig(definition.config, config).then((parsed) => definition.prepare!({ config: parsed, session })).catch(() => undefined);
  }
  const message = await start;
  return message && { ...session, source: message.source };
}

/** FAILED, with exit 0, is an answer: what the user or time can mend. A fault of the connector is none. */
async function check<Config>(definition: AnyDefinition<Config>, context: () => Promise<VerbContext<Config>>, { output }: Stdout): Promise<number> {
  try {
    await definition.check(await context());
  } catch (thrown) {
    const error = toConnectorError(thrown);
    if (error.kind === 'system_error' || error.code === 'bad_file') throw error;
    await output.message({ type: 'CONNECTION_STATUS', connectionStatus: { status: 'FAILED', message: error.message } });
    return ExitCode.ok;
  }
  await output.message({ type: 'CONNECTION_STATUS', connectionStatus: { status: 'SUCCEEDED' } });
  return ExitCode.ok;
}

async function write<Config>(
  definition: DestinationDefinition<Config>,
  context: WriteContext<Config> & { readonly session: Session | undefined },
  { output }: Stdout,
  shutdown: Shutdown,
): Promise<number> {
  if (definition.consume) {
    await definition.consume({ ...context, input: process.stdin, output });
  } else if (definition.open) {
    await using writer = await definition.open(context);
    await new RecordIntake(writer, context, output).run(process.stdin);
  }
  return shutdown.signal.aborted ? shutdown.exitCode : ExitCode.ok;
}
