/** Tools of a connector: what it can be asked beside moving records. Some answer once, some are talked with. */
import {
  configError, LineWriter, protocolError, scanEnvelope, splitBlock, TaplineBody, transientError, type ConfiguredCatalog, type ConnectorError, type Session,
} from '@tapline/protocol';
import { randomUUID } from 'node:crypto';
import type { ConnectorRef, Reporter } from '../types.js';
import { Child } from './child.js';
import { takeMessage } from './connector-messages.js';
import { diedError, isClean } from './ending.js';
import { Junk } from './junk.js';
import { keepConfig, withKeptConfig } from './kept-config.js';
import { PrivateFiles } from './private-files.js';
import { redactorOf, type Redact } from './redact.js';
import { defaultTiming, type Timing } from './timing.js';

export type ToolResult = Readonly<Record<string, unknown>>;

export interface ToolOptions {
  readonly reporter: Reporter;
  /** Becomes the file behind `--args`. */
  readonly args?: unknown;
  readonly catalog?: ConfiguredCatalog | undefined;
  /** The sync that it is about; absent = no session. */
  readonly sync?: { readonly name: string; readonly identity: string } | undefined;
  /** Ends the connector. */
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Timing | undefined;
  /** The whole call may take so long. Absent = any time. */
  readonly limitMs?: number | undefined;
  /** The sync's folder, where a renewed configuration is kept. */
  readonly directory?: string | undefined;
}

export const offersTool = (ref: ConnectorRef, name: string): boolean => ref.shippedSpec?.tapline?.tools?.includes(name) ?? false;

/**
 * Runs a tool that needs no further questions, and yields its results. Rejects with the connector's own error; with a
 * `config_error` (`no_tool`) where its spec, which must be in `ref`, does not offer the tool.
 */
export async function* callTool(ref: ConnectorRef, name: string, options: ToolOptions): AsyncGenerator<ToolResult, void, undefined> {
  await using call = await ToolCall.start(ref, name, options);
  call.end();
  yield* call.results();
}

/** A tool that runs. Ask with `send`, read with `results`; disposing of it ends its process, whatever it does. */
export class ToolCall implements AsyncDisposable {
  readonly #original: ConnectorRef;
  readonly #ref: ConnectorRef;
  readonly #name: string;
  readonly #options: ToolOptions;
  readonly #files: PrivateFiles;
  readonly #child: Child;
  readonly #stdin: LineWriter;
  readonly #redact: Redact;
  readonly #junk: Junk;
  readonly #onAbort = (): void => this.#child.terminate();
  #limit: NodeJS.Timeout | undefined;
  #error: ConnectorError | undefined;
  #failure: ConnectorError | undefined;

  static async start(ref: ConnectorRef, name: string, options: ToolOptions): Promise<ToolCall> {
    if (!offersTool(ref, name)) throw configError(`the ${ref.role} ${ref.label} has no tool '${name}'`, { code: 'no_tool' });
    const { signal, directory, timing = defaultTiming, reporter } = options;
    signal?.throwIfAborted();
    const current = directory === undefined ? ref : await withKeptConfig(ref, directory);
    const files = await PrivateFiles.temporary();
    try {
      const redact = redactorOf(current.config, ref.shippedSpec);
      const child = await Child.start({
        ref: current, args: await argumentsOf(current, name, files, options), stdin: 'pipe', timing,
        onStderr: (line) => reporter.message('debug', `${ref.label}: ${redact(line)}`),
      });
      return new ToolCall({ original: ref, ref: current, name, options, files, child, redact });
    } catch (error) {
      await files.remove();
      throw error;
    }
  }

  private constructor({ original, ref, name, options, files, child, redact }: {
    original: ConnectorRef; ref: ConnectorRef; name: string; options: ToolOptions; files: PrivateFiles; child: Child; redact: Redact;
  }) {
    this.#original = original;
    this.#ref = ref;
    this.#name = name;
    this.#options = options;
    this.#files = files;
    this.#child = child;
    this.#redact = redact;
    this.#stdin = new LineWriter(child.stdin!);
    this.#junk = new Junk(ref.label, redact, options.reporter);
    options.signal?.addEventListener('abort', this.#onAbort);
    const { limitMs } = options;
    if (limitMs !== undefined) this.#limit = setTimeout(() => this.#tookTooLong(limitMs), limitMs);
  }

  /** One line on its stdin. A tool that is gone says why in {@link results}, not here. */
  async send(request: object): Promise<void> {
    await this.#stdin.message(request).catch(() => undefined);
  }

  /** Nothing more will be asked. */
  end(): void {
    this.#child.stdin!.end();
  }

  /** All that it answers, to its end. Iterate it once; leaving it early is allowed. */
  async *results(): AsyncGenerator<ToolResult, void, undefined> {
    let number = 0;
    for await (const block of this.#child.blocks()) {
      for (const { bytes, terminated } of splitBlock(block)) {
        number++;
        const result = bytes.length === 0 ? undefined : this.#line(bytes, number, terminated);
        if (result) yield result;
      }
    }
    const exit = await this.#child.exited;
    this.#options.signal?.throwIfAborted();
    const failure = this.#error ?? this.#failure;
    if (failure) throw failure;
    if (!isClean(exit)) throw diedError(this.#child, exit, this.#redact);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#limit);
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    await this.#child.dispose();
    await this.#files.remove();
  }

  #tookTooLong(limitMs: number): void {
    this.#failure = transientError(`${this.#what} did not end within ${Math.round(limitMs / 1000)} s: is what it connects to reachable?`, { code: 'verb_timeout' });
    this.#child.terminate();
  }

  get #what(): string {
    return `the tool \`${this.#name}\` of the ${this.#ref.role} ${this.#ref.label}`;
  }

  #line(line: Buffer, number: number, terminated: boolean): ToolResult | undefined {
    const envelope = scanEnvelope(line);
    if (!envelope) {
      if (terminated) this.#junk.line(line, number);
      else this.#failure ??= protocolError(`the output of ${this.#what} ended in the middle of line ${number}`);
      return undefined;
    }
    const { type, bodyStart, bodyEnd } = envelope;
    if (type === 'TAPLINE' && bodyStart !== -1) {
      const body = TaplineBody.safeParse(JSON.parse(line.toString('utf8', bodyStart, bodyEnd)));
      if (body.data?.type === 'RESULT') return body.data.result;
    }
    if (!takeMessage(line, envelope, this.#context)) this.#junk.unknownType(type);
    return undefined;
  }

  get #context(): Parameters<typeof takeMessage>[2] {
    return {
      ref: this.#ref, redact: this.#redact, reporter: this.#options.reporter, junk: this.#junk,
      listener: {
        error: (error) => (this.#error ??= error),
        config: (config) => keepConfig(this.#original, this.#options.directory, config),
      },
    };
  }
}

async function argumentsOf(ref: ConnectorRef, name: string, files: PrivateFiles, { args, catalog, sync }: ToolOptions): Promise<string[]> {
  const all = ['tool', name, '--config', await files.write('config', JSON.stringify(ref.config))];
  if (args !== undefined) all.push('--args', await files.write('args', JSON.stringify(args)));
  if (catalog) all.push('--catalog', await files.write('catalog', JSON.stringify(catalog)));
  if (sync) {
    const session: Session = {
      version: 1, run_id: randomUUID(), sync: sync.name, source: sync.identity, extensions: [], continuous: false, scratch: await files.scratch('scratch'),
    };
    all.push('--session', await files.write('session', JSON.stringify(session)));
  }
  return all;
}
