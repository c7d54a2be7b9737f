/** One end of a comparison: its tool `digest`, asked and answered in turn. */
import { configError, ConnectorError, DigestAnswer, protocolError, type DigestRequest } from '@tapline/protocol';
import { offersTool, ToolCall, type ToolOptions, type ToolResult } from '../engine/call-tool.js';
import type { ConnectorRef } from '../types.js';

/** Throws a `config_error` that says which connector cannot be compared. */
export function requireDigest(ref: ConnectorRef): void {
  if (offersTool(ref, 'digest')) return;
  throw configError(`the ${ref.role} ${ref.label} offers no digest of its tables (its spec names no tool 'digest'), so there is nothing to compare by`, { code: 'no_digest' });
}

type Answer<Is extends DigestAnswer['is']> = Extract<DigestAnswer, { readonly is: Is }>;

export class VerifySide implements AsyncDisposable {
  readonly #call: ToolCall;
  readonly #ref: ConnectorRef;
  readonly #results: AsyncGenerator<ToolResult, void, undefined>;

  private constructor(call: ToolCall, ref: ConnectorRef) {
    this.#call = call;
    this.#ref = ref;
    this.#results = call.results();
  }

  static async start(ref: ConnectorRef, options: ToolOptions): Promise<VerifySide> {
    return new VerifySide(await ToolCall.start(ref, 'digest', options), ref);
  }

  /** Asks what has one answer. */
  async ask<Is extends 'opened' | 'states' | 'behind'>(request: DigestRequest, is: Is): Promise<Answer<Is>> {
    await this.#call.send(request);
    const answer = await this.#next();
    if (answer.is === is) return answer as Answer<Is>;
    throw this.#broken(`answered ${request.ask} with ${answer.is}`);
  }

  /**
   * Asks about a table. Yields its answers but for the last, which is returned. Rejects with the table's own error where it cannot be
   * digested: then others can still be asked about ({@link isOfTable}).
   */
  async *table(request: DigestRequest): AsyncGenerator<Answer<'ranges' | 'rows'>, Answer<'done'>, undefined> {
    await this.#call.send(request);
    for (;;) {
      const answer = await this.#next();
      if (answer.is === 'done') return answer;
      if (answer.is === 'failed') throw new TableError(new ConnectorError(answer.kind, answer.message));
      if (answer.is !== 'ranges' && answer.is !== 'rows') throw this.#broken(`answered ${request.ask} with ${answer.is}`);
      yield answer;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#call[Symbol.asyncDispose]();
  }

  async #next(): Promise<DigestAnswer> {
    const { value, done } = await this.#results.next();
    if (done) throw this.#broken('ended before it had answered');
    const parsed = DigestAnswer.safeParse(value);
    if (parsed.success) return parsed.data;
    throw this.#broken('gave an answer that does not have the form of the protocol');
  }

  #broken(what: string): ConnectorError {
    return protocolError(`the tool \`digest\` of the ${this.#ref.role} ${this.#ref.label} ${what}`);
  }
}

/** Of one table; the tool goes on. */
export class TableError extends Error {
  readonly error: ConnectorError;

  constructor(error: ConnectorError) {
    super(error.message);
    this.error = error;
  }
}
