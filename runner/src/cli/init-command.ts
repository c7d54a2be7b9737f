import { configError, ExitCode, type SpecBody } from '@tapline/protocol';
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { aliasOf, shippedNames, findByName, type Role } from '../connectors/executables.js';
import { folderAt, parseConnectorUri, schemeOf } from '../connectors/connector-uri.js';
import { optionsOfQuery } from '../connectors/options.js';
import type { Context } from './context.js';
import { starterFile, type StarterEnd } from './starter-file.js';

/** Writes a tapline.yaml to start from. Never overwrites one. */
export async function initCommand(context: Context): Promise<number> {
  const { directory, out, environment } = context.process;
  const path = resolve(directory, context.flags.text('config') ?? 'tapline.yaml');
  const source = starterEnd('source', context.flags.text('source'), environment);
  const destination = starterEnd('destination', context.flags.text('dest'), environment);
  const { text, sync, variables } = starterFile(source, destination);
  try {
    await writeFile(path, text, { flag: 'wx', mode: 0o644 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw configError(`${path} is there already, and is left as it is`, { code: 'config_exists', cause });
    throw configError(`${path} cannot be written: ${code ?? 'failed'}`, { code: 'config_unwritable', cause });
  }
  if (context.json) out(`${JSON.stringify({ type: 'init', path, sync, variables })}\n`);
  else {
    const exports = variables.map((name) => `  export ${name}=…\n`).join('');
    out(`wrote ${path}\nNext:\n${exports}  runner check ${sync}\n  runner sync ${sync}\n`);
  }
  return ExitCode.ok;
}

function starterEnd(role: Role, text: string | undefined, environment: NodeJS.ProcessEnv): StarterEnd | undefined {
  if (text === undefined) return undefined;
  const isPath = /[\\/]/.test(text) || text.startsWith('.');
  if (schemeOf(text) === undefined && !(role === 'destination' && isPath)) {
    if (!isPath && !text.startsWith('exec:')) findByName(role, text, environment);
    const { name, config = {} } = aliasOf(role, text);
    return { connector: shippedNames(role).includes(name) ? name : text, config, secrets: [] };
  }
  const uri = schemeOf(text) === undefined ? folderAt(text) : parseConnectorUri(role, text);
  const spec = findByName(role, uri.connector, environment).shippedSpec;
  const config: Record<string, unknown> = { ...uri.config, ...optionsOfQuery(uri.options, uri.connector, spec) };
  // A folder stays as it was written: the file may move with it.
  if (schemeOf(text) === undefined) config['path'] = text;
  return { connector: uri.connector, config, secrets: Object.keys(config).filter((name) => isSecret(name, spec)) };
}

function isSecret(name: string, spec: SpecBody | undefined): boolean {
  const properties = spec?.connectionSpecification['properties'] as Readonly<Record<string, { airbyte_secret?: unknown }>> | undefined;
  return name === 'password' || properties?.[name]?.airbyte_secret === true;
}
