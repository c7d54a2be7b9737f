import { didYouMean } from '@tapline/catalog';
import { configError, ConnectorError, ExitCode } from '@tapline/protocol';
import { aliasOf, namesToTake, shippedNames, type Role } from '../connectors/executables.js';
import { resolveEnd } from '../connectors/resolve-end.js';
import type { Context } from './context.js';

/** Prints a connector's specification as JSON, or the list of connectors. */
export async function specCommand(context: Context): Promise<number> {
  const { out } = context.process;
  const [word] = context.words;
  const asked = context.flags.text('source') ?? context.flags.text('dest') ?? word;
  if (asked === undefined) {
    if (context.json) out(`${JSON.stringify({ type: 'connectors', sources: shippedNames('source'), destinations: shippedNames('destination') })}\n`);
    else out(`sources: ${shippedNames('source').join(', ')}\ndestinations: ${namesToTake('destination').join(', ')}\nand any executable: runner spec ./my-source\n`);
    return ExitCode.ok;
  }
  const [role, name] = roleOf(asked, context.flags.text('dest') !== undefined);
  const end = await find(context, role, name);
  const { shippedSpec } = await context.withSpec(end.ref);
  out(`${JSON.stringify(shippedSpec, undefined, context.json ? undefined : 2)}\n`);
  return ExitCode.ok;
}

/** `source-postgres` says which it is; a name alone is a source if there is one of that name. */
function roleOf(asked: string, isDestination: boolean): [Role, string] {
  const prefixed = /^(source|destination)-(.+)$/.exec(asked);
  if (prefixed) return [prefixed[1] as Role, prefixed[2]!];
  const isOurs = (role: Role): boolean => shippedNames(role).includes(aliasOf(role, asked).name);
  return [isDestination || (isOurs('destination') && !isOurs('source')) ? 'destination' : 'source', asked];
}

async function find(context: Context, role: Role, text: string): ReturnType<typeof resolveEnd> {
  try {
    return await resolveEnd({
      role, text, configPath: undefined, file: () => undefined, environment: context.process.environment, directory: context.process.directory,
      askSpec: async (ref) => (await context.withSpec(ref)).shippedSpec,
    });
  } catch (error) {
    if (!(error instanceof ConnectorError) || error.code !== 'unknown_connector' || role !== 'source') throw error;
    const known = [...new Set([...namesToTake('source'), ...namesToTake('destination')])];
    throw configError(`there is no connector '${text}'.${didYouMean(text, known)} There are ${known.join(', ')}, and executables by their path.`, { code: 'unknown_connector' });
  }
}
