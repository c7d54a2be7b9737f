/** What the commands share: where they run, what they print to, and how both ends and their specs are found. */
import type { SpecBody } from '@tapline/protocol';
import { configError, toConnectorError } from '@tapline/protocol';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { ConfigFile, ResolvedSync } from '../config/config-file.js';
import { resolveEnd, type ResolvedEnd } from '../connectors/resolve-end.js';
import { cachedSpec, cacheFolder } from '../connectors/spec-cache.js';
import { callVerb, type VerbOptions } from '../engine/call-verb.js';
import { redactorOf, type Redact } from '../engine/redact.js';
import type { StopSignals } from '../engine/stop-signals.js';
import { quietReporter, type Sinks } from '../report/reporters.js';
import { derivedSyncName, requireSyncName } from '../sync-name.js';
import type { ConnectorRef } from '../types.js';
import { UsageError, type FlagValues, type Invocation } from './arguments.js';

export interface Process extends Sinks {
  readonly environment: NodeJS.ProcessEnv;
  readonly directory: string;
  readonly signals: StopSignals;
  /** How wide the terminal behind stderr is; undefined = it is none. */
  readonly columns: () => number | undefined;
}

export class Context {
  readonly flags: FlagValues;
  readonly words: readonly string[];
  readonly process: Process;
  readonly #command: string;
  readonly #secretConfigs: ConnectorRef[] = [];
  #reader: typeof ConfigFile | undefined;
  #file: ConfigFile | undefined | null = null;
  /** The sync's name, once it is known: for the last line of `--json`. */
  syncName = '';

  /** A reader of YAML is half of what this program is made of: it is loaded only where there is something to read. */
  static async of(invocation: Invocation, process: Process): Promise<Context> {
    const context = new Context(invocation, process);
    if (context.flags.text('config') !== undefined || existsSync(context.#filePath)) context.#reader = (await import('../config/config-file.js')).ConfigFile;
    return context;
  }

  private constructor(invocation: Invocation, process: Process) {
    this.#command = invocation.command;
    this.flags = invocation.flags;
    this.words = invocation.words;
    this.process = process;
  }

  get json(): boolean {
    return this.flags.on('json');
  }

  /** Takes the secrets of every connector seen so far out of a text. */
  readonly redact: Redact = (text) =>
    this.#secretConfigs.reduce((redacted, { config, shippedSpec }) => redactorOf(config, shippedSpec)(redacted), redactorOf({}, undefined)(text));

  /** tapline.yaml, read when it is first needed: a sync that names no part of it does not depend on it. */
  readonly file = (): ConfigFile | undefined => {
    if (this.#file === null) {
      this.#file = this.#reader?.load(this.#filePath, this.process.environment);
      if (!this.#file && this.flags.text('config') !== undefined) throw configError(`${this.#filePath} does not exist`, { code: 'config_missing' });
    }
    return this.#file;
  };

  get #filePath(): string {
    return resolve(this.process.directory, this.flags.text('config') ?? 'tapline.yaml');
  }

  /** `.tapline` beside tapline.yaml, or in the working directory. */
  get stateDirectory(): string {
    const given = this.flags.text('state-dir');
    if (given !== undefined) return resolve(this.process.directory, given);
    return join(existsSync(this.#filePath) ? dirname(this.#filePath) : this.process.directory, '.tapline');
  }

  /** The sync of tapline.yaml that was meant: the one named, or the only one if nothing else was said. */
  chosenSync(): ResolvedSync | undefined {
    return this.syncNamed(this.words[0]);
  }

  /** The same, where the name does not come first. */
  syncNamed(name: string | undefined): ResolvedSync | undefined {
    if (name !== undefined) {
      const file = this.file();
      if (!file) throw configError(`there is no ${this.#filePath} that could have a sync '${name}'. 'runner init' writes one; or give --source and --dest`, { code: 'config_missing' });
      return file.sync(name);
    }
    if (this.flags.text('source') !== undefined || this.flags.text('dest') !== undefined) return undefined;
    const names = this.file()?.syncNames ?? [];
    if (names.length === 1) return this.file()!.sync(names[0]!);
    if (names.length > 1) throw new UsageError(`which sync? There are ${names.join(', ')}.`, this.#command);
    return undefined;
  }

  /** Finds an end, given by its flag or by the sync; undefined if neither names one. */
  async end(role: 'source' | 'destination', sync: ResolvedSync | undefined): Promise<ResolvedEnd | undefined> {
    const flag = role === 'source' ? 'source' : 'dest';
    const text = this.flags.text(flag) ?? (role === 'source' ? sync?.source : sync?.destination);
    if (text === undefined) return undefined;
    // A path in tapline.yaml is relative to tapline.yaml.
    const directory = this.flags.text(flag) === undefined ? (this.file()?.directory ?? this.process.directory) : this.process.directory;
    const { environment } = this.process;
    const configPath = this.flags.text(`${flag}-config`);
    const askSpec = (ref: ConnectorRef): Promise<SpecBody> => this.#ask(ref);
    const end = await resolveEnd({
      role, text, file: this.file, environment, directory, askSpec,
      configPath: configPath === undefined ? undefined : resolve(this.process.directory, configPath),
    });
    this.#secretConfigs.push(end.ref);
    return end;
  }

  /** The connector with its spec in it, asked for if it ships none. */
  async withSpec(ref: ConnectorRef): Promise<ConnectorRef & { readonly shippedSpec: SpecBody }> {
    if (ref.shippedSpec) return { ...ref, shippedSpec: ref.shippedSpec };
    // Ours change behind an unchanged stub while they are being built: only other people's are remembered.
    const folder = ref.ours ? undefined : cacheFolder(this.process.environment);
    const known = { ...ref, shippedSpec: await cachedSpec(ref.command, folder, () => this.#ask(ref)) };
    this.#secretConfigs.push(known);
    return known;
  }

  /** The same, but a connector that does not tell its spec stays as it is: a run knows what to do with it, and when to try again. */
  async withSpecIfAny(ref: ConnectorRef): Promise<ConnectorRef> {
    try {
      return await this.withSpec(ref);
    } catch (error) {
      if (this.process.signals.first.aborted || toConnectorError(error).code === 'verb_timeout') throw error;
      return ref;
    }
  }

  #ask(ref: ConnectorRef): Promise<SpecBody> {
    return callVerb(ref, 'spec', this.verbOptions());
  }

  /** The folder of a sync: a connector's renewed configuration is kept there. undefined if it is not said which sync is meant. */
  syncDirectory(sync: ResolvedSync | undefined, source: ResolvedEnd | undefined, destination: ResolvedEnd | undefined): string | undefined {
    const name = this.flags.text('sync') ?? sync?.name ?? (source && destination && derivedSyncName(source.identity, destination.identity));
    return name === undefined ? undefined : join(this.stateDirectory, requireSyncName(name));
  }

  /** What the verbs that answer once are called with. */
  verbOptions(directory?: string): VerbOptions {
    const { err, out, signals } = this.process;
    return { signal: signals.first, directory, reporter: quietReporter({ err, out, redact: this.redact, verbose: this.flags.on('verbose') }) };
  }
}
