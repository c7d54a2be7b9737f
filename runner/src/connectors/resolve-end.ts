/** One end of a sync, from what was typed or configured to a connector that can be started. */
import { configError, type SpecBody } from '@tapline/protocol';
import { readFileSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import type { ConfigFile } from '../config/config-file.js';
import { connectorNameOf, type EndIdentity } from '../sync-name.js';
import type { ConnectorRef } from '../types.js';
import { folderAt, parseConnectorUri, schemeOf, type ConnectorUri } from './connector-uri.js';
import { environmentOf } from './environment.js';
import { aliasOf, executableAt, findByName, onPath, statOf, type Executable, type Role } from './executables.js';
import { optionsOfQuery, unknownOption, withTypes } from './options.js';
import { placeOf } from './place.js';

export interface EndRequest {
  readonly role: Role;
  /** A URI, the name of a connection or connector, a path, or `exec:PATH`. */
  readonly text: string;
  /** `--source-config` or `--dest-config`. */
  readonly configPath: string | undefined;
  /** tapline.yaml, read only if a name has to be looked up. */
  readonly file: () => ConfigFile | undefined;
  readonly environment: NodeJS.ProcessEnv;
  /** What relative paths are relative to. */
  readonly directory: string;
  /** Asks a connector of ours that ships no spec. */
  readonly askSpec: (ref: ConnectorRef) => Promise<SpecBody>;
}

export interface ResolvedEnd {
  readonly ref: ConnectorRef;
  readonly identity: EndIdentity;
}

/** What the connector is, before its configuration is put together. */
interface Found {
  readonly executable: Executable;
  readonly label: string;
  readonly uri?: ConnectorUri;
  /** What the connector's name says of its configuration: `duckdb` is an engine of the warehouse. */
  readonly implied?: Readonly<Record<string, string>> | undefined;
  /** From tapline.yaml. */
  readonly connection?: { readonly name: string; readonly env: readonly string[]; readonly config: Readonly<Record<string, unknown>> };
}

/** Throws a `config_error` that says what is unknown and what there is. */
export async function resolveEnd(request: EndRequest): Promise<ResolvedEnd> {
  const { executable, label, uri, implied, connection } = find(request, request.text, request.directory);
  const { role, configPath, environment } = request;
  const fromFile = configPath === undefined ? {} : readConfigFile(resolve(configPath), role);
  const base: ConnectorRef = {
    role,
    label,
    command: executable.command,
    args: executable.args,
    env: environmentOf(executable.ours, connection?.env ?? [], environment),
    ours: executable.ours !== undefined,
    shippedSpec: executable.shippedSpec,
    config: { ...implied, ...connection?.config, ...fromFile },
    // Only a file that holds the whole configuration can be written again.
    configFile: configPath === undefined || executable.ours !== undefined || connection ? undefined : resolve(configPath),
  };
  if (executable.ours === undefined) {
    return { ref: base, identity: { connector: connectorNameOf(executable.path), place: [resolve(executable.path)] } };
  }
  const spec = executable.shippedSpec ?? (await request.askSpec(base));
  refuseUnknown(request, connection, fromFile, label, spec);
  for (const [name, value] of Object.entries(implied ?? {})) {
    if (base.config[name] === value) continue;
    const message = `the connector's name says ${name}: ${value}, and its options say something else. Leave out ${name}, or write connector: ${label}`;
    throw connection && Object.hasOwn(connection.config, name) ? request.file()!.error(['connections', connection.name, name], message) : configError(message, { code: 'bad_config' });
  }
  const options = uri ? { ...optionsOfQuery(uri.options, label, spec), ...uri.config } : {};
  const config = absolutePaths(withTypes({ ...base.config, ...options }, label, spec), connection ? (request.file()?.directory ?? request.directory) : request.directory);
  return { ref: { ...base, config, shippedSpec: spec }, identity: { connector: label, place: placeOf(label, config, environment) } };
}

function find(request: EndRequest, text: string, directory: string): Found {
  const { role, environment, file } = request;
  const isName = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(text);
  const connection = isName ? file()?.connection(text) : undefined;
  if (connection) {
    const base = file()!.directory;
    // A connection may have the name of its connector: what it names is not looked up among connections again.
    if ('uri' in connection) return findUnnamed(role, connection.uri, base, environment, file);
    const found = findUnnamed(role, connection.connector, base, environment, file);
    return { ...found, connection: { ...connection, name: text } };
  }
  return findUnnamed(role, text, directory, environment, file);
}

function findUnnamed(role: Role, text: string, directory: string, environment: NodeJS.ProcessEnv, file: EndRequest['file']): Found {
  if (schemeOf(text)) {
    const written = parseConnectorUri(role, text);
    const uri = { ...written, config: absolutePaths(written.config, directory) };
    return { executable: findByName(role, uri.connector, environment), label: uri.connector, uri };
  }
  if (text.startsWith('exec:')) {
    const path = text.slice('exec:'.length);
    const local = resolve(directory, path);
    const found = path.includes('/') || statOf(local) ? local : (onPath(path, environment) ?? local);
    return { executable: executableAt(role, found), label: path };
  }
  if (/[\\/]/.test(text) || text.startsWith('.')) {
    const path = resolve(directory, text);
    if (role === 'source' || statOf(path)?.isFile()) return { executable: executableAt(role, path), label: text };
    return { executable: findByName(role, 's3', environment), label: 's3', uri: folderAt(path) };
  }
  return { executable: findByName(role, text, environment, namesOf(file)), label: aliasOf(role, text).name, implied: aliasOf(role, text).config };
}

const namesOf = (file: EndRequest['file']): readonly string[] => file()?.connectionNames ?? [];

function refuseUnknown(
  { file, configPath, role }: EndRequest, connection: Found['connection'], fromFile: Readonly<Record<string, unknown>>, label: string, spec: SpecBody,
): void {
  const inConnection = connection && unknownOption(connection.config, spec);
  if (inConnection) {
    const { name, hint } = inConnection;
    throw file()!.error(['connections', connection.name, name], `the ${role} ${label} has no option '${name}'.${hint}`);
  }
  const inFile = unknownOption(fromFile, spec);
  if (inFile) throw configError(`${configPath}: the ${role} ${label} has no option '${inFile.name}'.${inFile.hint}`, { code: 'unknown_option' });
}

function absolutePaths(config: Readonly<Record<string, unknown>>, directory: string): Readonly<Record<string, unknown>> {
  const { path } = config;
  return typeof path === 'string' && !isAbsolute(path) ? { ...config, path: resolve(directory, path) } : config;
}

function readConfigFile(path: string, role: Role): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw configError(`the configuration of the ${role} cannot be read: ${(cause as NodeJS.ErrnoException).code ?? 'unreadable'} ${path}`, { code: 'config_unreadable', cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message would quote the file, which holds secrets.
    throw configError(`${path} is not valid JSON`, { code: 'config_syntax' });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw configError(`${path} does not hold a JSON object`, { code: 'config_syntax' });
}
