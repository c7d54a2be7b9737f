/** The verbs that answer once: spec, check, discover. */
import {
  CatalogBody, ConnectionStatusBody, protocolError, scanEnvelope, SpecBody, splitBlock, transientError, type ConnectorError, type Envelope,
} from '@tapline/protocol';
import type { ConnectorRef, Reporter } from '../types.js';
import { Child } from './child.js';
import { takeMessage } from './connector-messages.js';
import { diedError, isClean } from './ending.js';
import { Junk } from './junk.js';
import { keepConfig, withKeptConfig } from './kept-config.js';
import { PrivateFiles } from './private-files.js';
import { redactorOf } from './redact.js';
import type { ProcessIdentity } from '../store/process-identity.js';
import { defaultTiming, type Timing } from './timing.js';

export interface VerbResults {
  readonly spec: SpecBody;
  readonly check: ConnectionStatusBody;
  readonly discover: CatalogBody;
}
export type Verb = keyof VerbResults;

export interface VerbOptions {
  readonly reporter: Reporter;
  /** Ends the connector. */
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Timing | undefined;
  /** The sync's folder: a configuration that the connector renews is kept there, if it came from no file. */
  readonly directory?: string | undefined;
  /** Tells the process as soon as it runs. */
  readonly onStart?: (identity: ProcessIdentity) => Promise<void>;
  /** A new configuration came. */
  readonly onConfig?: (config: Readonly<Record<string, unknown>>) => void;
}

const answers = {
  spec: { type: 'SPEC', schema: SpecBody },
  check: { type: 'CONNECTION_STATUS', schema: ConnectionStatusBody },
  discover: { type: 'CATALOG', schema: CatalogBody },
} as const;

/**
 * Runs one verb and resolves with its answer; a FAILED check is an answer, too. Rejects with the connector's own error, a
 * `transient_error` when it took too long, or a protocol error when it answered nothing.
 */
export async function callVerb<V extends Verb>(ref: ConnectorRef, verb: V, options: VerbOptions): Promise<VerbResults[V]> {
  const { directory } = options;
  const current = directory === undefined ? ref : await withKeptConfig(ref, directory);
  const files = await PrivateFiles.temporary();
  try {
    const args = verb === 'spec' ? [verb] : [verb, '--config', await files.write('config', JSON.stringify(current.config))];
    return await new Call<V>(ref, current, verb, options).run(args);
  } finally {
    await files.remove();
  }
}

/** The spec that ships with the connector, or what it says itself. */
export const specOf = async (ref: ConnectorRef, options: VerbOptions): Promise<SpecBody> => ref.shippedSpec ?? callVerb(ref, 'spec', options);

class Call<V extends Verb> {
  readonly #original: ConnectorRef;
  readonly #ref: ConnectorRef;
  readonly #verb: V;
  readonly #options: VerbOptions;
  readonly #redact;
  readonly #junk: Junk;
  #answer: VerbResults[V] | undefined;
  #error: ConnectorError | undefined;
  #failure: ConnectorError | undefined;
  #messages = 0;

  constructor(original: ConnectorRef, ref: ConnectorRef, verb: V, options: VerbOptions) {
    this.#original = original;
    this.#ref = ref;
    this.#verb = verb;
    this.#options = options;
    this.#redact = redactorOf(ref.config, ref.shippedSpec);
    this.#junk = new Junk(ref.label, this.#redact, options.reporter);
  }

  async run(args: readonly string[]): Promise<VerbResults[V]> {
    const { reporter, signal, timing = defaultTiming } = this.#options;
    const ref = this.#ref;
    signal?.throwIfAborted();
    const child = await Child.start({
      ref, args, stdin: 'ignore', timing, onStderr: (line) => reporter.message('debug', `${ref.label}: ${this.#redact(line)}`),
    });
    const limitMs = timing.verbMs[this.#verb];
    const limit = setTimeout(() => {
      this.#failure = transientError(
        `${this.#what} did not answer within ${Math.round(limitMs / 1000)} s: is what it connects to reachable?`, { code: 'verb_timeout' },
      );
      child.terminate();
    }, limitMs);
    const onAbort = (): void => child.terminate();
    signal?.addEventListener('abort', onAbort);
    try {
      await this.#options.onStart?.(child.identity);
      await this.#read(child);
      const exit = await child.exited;
      signal?.throwIfAborted();
      const failure = this.#error ?? this.#failure;
      if (failure) throw failure;
      if (this.#answer !== undefined && isClean(exit)) return this.#answer;
      if (this.#answer === undefined && !exit.signal && (this.#messages === 0 || isClean(exit))) throw this.#noAnswer(child, exit.code);
      throw diedError(child, exit, this.#redact);
    } finally {
      clearTimeout(limit);
      signal?.removeEventListener('abort', onAbort);
      await child.dispose();
    }
  }

  get #what(): string {
    return `\`${this.#verb}\` of the ${this.#ref.role} ${this.#ref.label}`;
  }

  #noAnswer(child: Child, code: number | null): ConnectorError {
    const words = this.#redact(child.stderr.lastWords());
    const what = this.#messages === 0 ? 'printed no message' : `did not answer with ${answers[this.#verb].type}`;
    return protocolError(`${this.#what} ${what} (exit ${code})${words ? `; the last line of its stderr: ${words}` : ''}`);
  }

  async #read(child: Child): Promise<void> {
    let number = 0;
    for await (const block of child.blocks()) {
      for (const { bytes, terminated } of splitBlock(block)) {
        number++;
        if (bytes.length > 0) this.#line(bytes, number, terminated);
      }
    }
  }

  #line(line: Buffer, number: number, terminated: boolean): void {
    const envelope = scanEnvelope(line);
    if (!envelope) {
      if (terminated) this.#junk.line(line, number);
      else this.#failure ??= protocolError(`the output of ${this.#what} ended in the middle of line ${number}`);
      return;
    }
    if (envelope.type === answers[this.#verb].type) this.#take(line, envelope);
    else if (takeMessage(line, envelope, this.#context)) this.#messages++;
    else this.#junk.unknownType(envelope.type);
  }

  #take(line: Buffer, { bodyStart, bodyEnd, type }: Envelope): void {
    this.#messages++;
    const parsed = answers[this.#verb].schema.safeParse(bodyStart === -1 ? undefined : JSON.parse(line.toString('utf8', bodyStart, bodyEnd)));
    if (parsed.success) this.#answer ??= parsed.data as VerbResults[V];
    else {
      const where = parsed.error.issues.slice(0, 3).map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
      this.#failure ??= protocolError(`the ${type} of ${this.#what} does not have the form of the protocol (${where})`);
    }
  }

  get #context(): Parameters<typeof takeMessage>[2] {
    return {
      ref: this.#ref, redact: this.#redact, reporter: this.#options.reporter, junk: this.#junk,
      listener: {
        error: (error) => (this.#error ??= error),
        config: (config) => {
          keepConfig(this.#original, this.#options.directory, config);
          this.#options.onConfig?.(config);
        },
      },
    };
  }
}
