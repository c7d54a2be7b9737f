/** The destination's process: what it is given, and what it answers. */
import {
  LineWriter, OpenedMessage, protocolError, scanEnvelope, splitBlock, stateBodyOf, toConnectorError, transientError,
  type ConnectorError,
} from '@tapline/protocol';
import type { Child, ChildExit } from './child.js';
import { takeMessage, type MessageContext } from './connector-messages.js';
import { deferred } from './deferred.js';
import { diedError } from './ending.js';
import type { Timing } from './timing.js';

export interface DestinationOptions {
  readonly timing: Timing;
  readonly messages: Omit<MessageContext, 'listener'>;
  readonly onConfig: (config: Readonly<Record<string, unknown>>) => void;
  /** A STATE came back. Throws when that stops the run. */
  readonly onState: (body: string) => void;
  /** What it cannot go on after: a broken protocol, or what `onState` threw. */
  readonly onFailure: (error: ConnectorError) => void;
}

export class DestinationSide {
  readonly child: Child;
  /** Its TRACE ERRORs. */
  readonly errors: ConnectorError[] = [];
  /** Its output has ended and been read, and so has the process. */
  readonly done: Promise<ChildExit>;
  readonly #options: DestinationOptions;
  readonly #writer: LineWriter;
  readonly #opened = deferred<OpenedMessage>();
  #hasOpened = false;
  #inputEnded = false;

  constructor(child: Child, options: DestinationOptions) {
    this.child = child;
    this.#options = options;
    this.#writer = new LineWriter(child.stdin!);
    this.#opened.promise.catch(() => undefined);
    this.done = this.#read();
  }

  /** All its input was given. */
  get inputEnded(): boolean {
    return this.#inputEnded;
  }

  /** Its first words in a session. */
  async opened(limitMs: number): Promise<OpenedMessage> {
    const { promise, reject } = this.#opened;
    const timer = setTimeout(() => {
      reject(transientError(`the destination ${this.child.ref.label} did not open within ${Math.round(limitMs / 1000)} s`, { code: 'silent' }));
    }, limitMs);
    return promise.finally(() => clearTimeout(timer));
  }

  /** Resolves once it takes more; rejects once it takes nothing any more. */
  write(bytes: Buffer | string): Promise<void> {
    return this.#writer.bytes(bytes);
  }

  /** The same with bytes that are overwritten afterwards: resolves once they may be. */
  lend(bytes: Buffer): Promise<void> {
    return this.#writer.lent(bytes);
  }

  /** No more input. What it says and does afterwards is in {@link done}. */
  async end(): Promise<void> {
    this.#inputEnded = true;
    await this.#writer.end().catch(() => undefined);
  }

  /** It has the grace period to end by itself. */
  killAfterGrace(): void {
    const timer = setTimeout(() => this.child.kill(), this.#options.timing.graceMs);
    void this.child.exited.then(() => clearTimeout(timer));
  }

  /** Why it ended badly; undefined = exit 0 and no error told. */
  failure(exit: ChildExit): ConnectorError | undefined {
    if (this.errors.length > 0) return this.errors[0];
    return exit.code === 0 ? undefined : diedError(this.child, exit, this.#options.messages.redact);
  }

  async #read(): Promise<ChildExit> {
    let failed = false;
    const fail = (error: unknown): void => {
      // Its output is read on, and thrown away: a full pipe would hold it up.
      failed = true;
      const known = toConnectorError(error);
      this.#opened.reject(known);
      this.#options.onFailure(known);
    };
    try {
      let number = 0;
      for await (const block of this.child.blocks()) {
        for (const { bytes, terminated } of splitBlock(block)) {
          number++;
          if (failed || bytes.length === 0) continue;
          try {
            this.#line(bytes, number, terminated);
          } catch (error) {
            fail(error);
          }
        }
      }
    } catch (error) {
      fail(error);
    }
    const exit = await this.child.exited;
    if (!this.#hasOpened) this.#opened.reject(this.failure(exit) ?? this.#broke('exited with 0 before it said OPENED'));
    return exit;
  }

  #line(line: Buffer, number: number, terminated: boolean): void {
    const { messages, onState, onConfig } = this.#options;
    const envelope = scanEnvelope(line);
    if (!envelope) {
      if (!terminated) throw this.#broke(`ended in the middle of line ${number}, after ${line.length} bytes of it`);
      messages.junk.line(line, number);
    } else if (envelope.type === 'STATE') onState(stateBodyOf(line));
    // Seen in the wild: the state itself, without the message around it.
    else if ((envelope.type === 'STREAM' || envelope.type === 'GLOBAL') && isBareState(line)) onState(line.toString('utf8'));
    else if (envelope.type === 'TAPLINE') this.#extension(line.toString('utf8', envelope.bodyStart, envelope.bodyEnd));
    else if (!takeMessage(line, envelope, { ...messages, listener: { error: (error) => this.errors.push(error), config: onConfig } })) {
      messages.junk.unknownType(envelope.type);
    }
  }

  #extension(body: string): void {
    const opened = OpenedMessage.safeParse(JSON.parse(body));
    if (!opened.success) throw this.#broke('sent a TAPLINE message that is not a valid OPENED');
    if (this.#hasOpened) throw this.#broke('said OPENED twice');
    this.#hasOpened = true;
    this.#opened.resolve(opened.data);
  }

  #broke(what: string): ConnectorError {
    return protocolError(`the destination ${this.child.ref.label} ${what}`);
  }
}

const isBareState = (line: Buffer): boolean => line.includes('"stream_descriptor"') || line.includes('"stream_states"');
