/** tapline.yaml: read, checked, and its parts handed out with their `${ENV}` resolved. */
import { didYouMean, parseMode, parsePattern, type ColumnSelection, type StreamRule } from '@tapline/catalog';
import { configError, type ConnectorError } from '@tapline/protocol';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isMap, isScalar, LineCounter, parseDocument, type Document } from 'yaml';
import type { z } from 'zod';
import { ConfigFile as Schema, keysAt, type Connection, type StreamSettings, type SyncSettings } from './file-schema.js';
import { Interpolation } from './interpolation.js';

type Path = readonly (string | number)[];

/** A connection with its values in place. A URI stands under `uri`. */
export type ResolvedConnection =
  | { readonly uri: string }
  | { readonly connector: string; readonly env: readonly string[]; readonly config: Readonly<Record<string, unknown>> };

export interface ResolvedSync extends Pick<SyncSettings, 'flush' | 'retries' | 'continuous' | 'transport'> {
  readonly name: string;
  readonly source: string;
  readonly destination: string;
  readonly rules: readonly StreamRule[];
}

export class ConfigFile {
  readonly path: string;
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #interpolation: Interpolation;
  readonly #content: z.infer<typeof Schema>;

  /** undefined if there is no such file. Throws a `config_error` for one that does not read. */
  static load(path: string, environment: NodeJS.ProcessEnv): ConfigFile | undefined {
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT') return undefined;
      throw configError(`${path} cannot be read: ${code ?? 'unreadable'}`, { code: 'config_unreadable', cause });
    }
    return new ConfigFile(text, path, environment);
  }

  constructor(text: string, path: string, environment: NodeJS.ProcessEnv) {
    this.path = resolve(path);
    this.#interpolation = new Interpolation(text, this.path, environment);
    this.#lines = new LineCounter();
    this.#document = parseDocument(this.#interpolation.text, { lineCounter: this.#lines, prettyErrors: false });
    const [problem] = this.#document.errors;
    // The parser's own words may quote the line, and with it a secret.
    if (problem) throw configError(`${this.path} line ${this.#lines.linePos(problem.pos[0]).line} is not valid YAML (${problem.code.toLowerCase().replaceAll('_', ' ')})`, { code: 'config_syntax' });
    const parsed = Schema.safeParse(this.#document.toJS() ?? {});
    if (!parsed.success) {
      // A mistyped key shows as a missing one, too.
      const { issues } = parsed.error;
      throw this.#explain(issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!);
    }
    this.#content = parsed.data;
  }

  get directory(): string {
    return dirname(this.path);
  }

  get connectionNames(): string[] {
    return Object.keys(this.#content.connections ?? {});
  }

  get syncNames(): string[] {
    return Object.keys(this.#content.syncs ?? {});
  }

  connection(name: string): ResolvedConnection | undefined {
    const connections = this.#content.connections ?? {};
    const connection: Connection | undefined = Object.hasOwn(connections, name) ? connections[name] : undefined;
    if (connection === undefined) return undefined;
    if (typeof connection === 'string') return { uri: this.#interpolation.resolve(connection) };
    const { connector, env, config, ...options } = this.#interpolation.resolveAll(connection) as Exclude<Connection, string>;
    const [extra] = Object.keys(options);
    if (config && extra !== undefined) {
      throw this.error(['connections', name, extra], `'${extra}' stands beside config: put all options of connection '${name}' into config, or all beside connector`);
    }
    return { connector, env: env ?? [], config: config ?? options };
  }

  sync(name: string): ResolvedSync {
    const syncs = this.#content.syncs ?? {};
    const settings = Object.hasOwn(syncs, name) ? syncs[name] : undefined;
    if (!settings) {
      const names = this.syncNames;
      const known = names.length === 0 ? ' It has no syncs.' : didYouMean(name, names) || ` It has ${names.join(', ')}.`;
      throw configError(`${this.path} has no sync '${name}'.${known}`, { code: 'unknown_sync' });
    }
    const { source, destination, streams, ...rest } = this.#interpolation.resolveAll(settings) as SyncSettings;
    return { ...rest, name, source, destination, rules: Object.entries(streams ?? {}).map(([pattern, stream]) => this.#rule(name, pattern, stream ?? {})) };
  }

  /** A `config_error` that says where. The path is of keys; the last one need not exist. */
  error(path: Path, message: string): ConnectorError {
    return configError(`${this.path} line ${this.#lineOf(path)}: ${message}`, { code: 'bad_config' });
  }

  #rule(sync: string, written: string, { enabled, mode, cursor, key, columns }: StreamSettings): StreamRule {
    const pattern = this.#interpolation.original(written);
    const path = ['syncs', sync, 'streams', written];
    try {
      if (pattern.startsWith('!')) throw configError(`write \`${pattern.slice(1)}: { enabled: false }\` to leave out streams`);
      const wish = mode === undefined ? undefined : parseMode(mode);
      const selection: ColumnSelection | undefined = columns && (Array.isArray(columns) ? { only: columns } : columns);
      return { pattern: parsePattern(pattern), enabled: enabled ?? true, mode: wish, cursor, key, columns: selection, origin: `${this.path} line ${this.#lineOf(path)}` };
    } catch (error) {
      throw this.error(path, (error as Error).message);
    }
  }

  #explain(issue: z.core.$ZodIssue): ConnectorError {
    const path = issue.path as Path;
    if (issue.code === 'unrecognized_keys') {
      const key = issue.keys[0]!;
      const known = keysAt(path);
      const hint = didYouMean(key, known, 1) || (known.length > 0 ? ` Known here: ${known.join(', ')}.` : '');
      return this.error([...path, key], `unknown key '${this.#interpolation.original(key)}'${path.length > 0 ? ` in ${path.join('.')}` : ''}.${hint}`);
    }
    const missing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined');
    return this.error(path, `${path.join('.') || 'the file'}${missing ? ' is missing' : `: ${issue.message}`}`);
  }

  /** The line of a key, or of the nearest key above it. */
  #lineOf(path: Path): number {
    let node: unknown = this.#document.contents;
    let offset = 0;
    for (const step of path) {
      if (!isMap(node)) break;
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (!pair || !isScalar(pair.key)) break;
      offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    }
    return this.#lines.linePos(offset).line;
  }
}
