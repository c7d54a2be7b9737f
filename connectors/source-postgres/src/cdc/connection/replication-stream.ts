/**
 * The replication connection: whole CopyData messages out, confirmed positions in. It speaks on the driver's socket itself, since the
 * driver would make an object a row and knows no backpressure.
 * https://www.postgresql.org/docs/current/protocol-replication.html
 */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type OpenClient, type Target, literal, openClient } from '@tapline/postgres-client';
import { transientError, type ConnectorError } from '@tapline/protocol';
import { classify } from '../../classify.js';
import type { Config } from '../../config.js';
import { replicationSettings } from '../../settings.js';
import { parseLsn } from '../lsn.js';
import { Arrival } from './arrival.js';
import { Feedback } from './feedback.js';
import { MessageSplitter } from './message-splitter.js';
import { classifyStreamError } from './replication-errors.js';
import { ReadAhead } from './read-ahead.js';
import { isWarning, messageType, sqlStateOf } from './server-message.js';
import { startCommand, type StartCommand } from './start-command.js';
import { takeOver } from './takeover.js';

/** `from`: the stored position. The server begins at the slot's own where that is later, and says nothing. */
export interface StreamOptions extends StartCommand {
  /** Aborted: {@link ReplicationStream.read} gives undefined from then on. Confirming goes on. */
  readonly signal?: AbortSignal | undefined;
  log(level: 'INFO' | 'WARN', message: string): void;
}

export interface SystemIdentity {
  readonly systemId: string;
  readonly timeline: number;
  /** Up to where the server has flushed its log. */
  readonly walPosition: bigint;
}

const slotPauseMs = 500;
/** How long the server may take to notice that we end. In the middle of a large transaction it does not. */
const goodbyeMs = 2000;
const copyDone = Buffer.from([messageType.copyDone, 0, 0, 0, 4]);
const terminate = Buffer.from([0x58, 0, 0, 0, 4]);

/** `starting` and `streaming` own the socket; `ending` drops what comes. */
type Phase = 'idle' | 'starting' | 'streaming' | 'ending' | 'over';

export class ReplicationStream implements AsyncDisposable {
  readonly #open: OpenClient;
  readonly #socket: Socket;
  readonly #slotWaitMs: number;
  readonly #ahead: ReadAhead;
  readonly #arrival = new Arrival();
  readonly #feedback: Feedback;
  #phase: Phase = 'idle';
  #splitter: MessageSplitter | undefined;
  #options: StreamOptions | undefined;
  #aborted = false;
  #error: ConnectorError | undefined;
  #startError: string | undefined;
  #wakeReader: (() => void) | undefined;
  #settleStart: ((started: boolean) => void) | undefined;
  #answered: (() => void) | undefined;
  #saidGoodbye: (() => void) | undefined;

  private constructor(open: OpenClient, config: Config, walSenderTimeoutMs: number) {
    this.#open = open;
    this.#socket = open.client.connection.stream;
    this.#ahead = new ReadAhead(this.#socket);
    this.#slotWaitMs = config.slot_wait * 1000;
    this.#feedback = new Feedback({
      walSenderTimeoutMs,
      write: (frame) => void (this.#socket.writable && this.#socket.write(frame)),
      received: () => this.received,
      listening: () => !this.#socket.isPaused() && this.#ahead.empty,
      onSilence: (seconds) => this.#fail(transientError(`the server sent nothing for ${seconds} s, though it was asked to: it hangs, or the network to it is cut`, { code: 'pg_silent' })),
    });
  }

  /** A replication connection to the database, with the settings of every session of ours. Rejects with a classified error. */
  static async open(config: Config): Promise<ReplicationStream> {
    const open = await openClient(config, replicationSettings(), 'replication');
    try {
      const { rows: [row] } = await open.client.query<{ setting: string }>(`SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'`);
      return new ReplicationStream(open, config, Number(row?.setting ?? 60_000));
    } catch (error) {
      open.client.connection.stream.destroy();
      throw classify(error, { ...open.target, purpose: 'replication' });
    }
  }

  get target(): Target {
    return this.#open.target;
  }

  /** Before {@link start} only. */
  async identify(): Promise<SystemIdentity> {
    const [row] = await this.#query<{ systemid: string; timeline: number; xlogpos: string }>('IDENTIFY_SYSTEM');
    return { systemId: row!.systemid, timeline: Number(row!.timeline), walPosition: parseLsn(row!.xlogpos) };
  }

  /** The history file of a timeline; the first has none: ''. Before {@link start} only. */
  async timelineHistory(timeline: number): Promise<string> {
    if (timeline <= 1) return '';
    const [row] = await this.#query<{ content: string | Buffer }>(`TIMELINE_HISTORY ${timeline}`);
    return row!.content.toString();
  }

  /** START_REPLICATION. A slot that another session holds is waited for, up to `slot_wait`. Rejects with a classified error. */
  async start(options: StreamOptions): Promise<void> {
    this.#options = options;
    const deadline = performance.now() + this.#slotWaitMs;
    for (let attempt = 1; ; attempt++) {
      if (await this.#tryStart(options)) break;
      const failure = this.#error ?? this.#classified({ code: this.#startError }, false);
      if (failure.code !== 'pg_slot_in_use') throw failure;
      const holder = await this.#holderOf(options.slot);
      if (performance.now() > deadline || options.signal?.aborted) throw transientError(`${failure.message}${holder}`, { code: failure.code, cause: failure });
      if (attempt === 1) options.log('WARN', `${failure.message}${holder}; waiting up to ${this.#slotWaitMs / 1000} s for it`);
      await sleep(slotPauseMs, undefined, options.signal ? { signal: options.signal } : {}).catch(() => {});
    }
    if (options.signal?.aborted) this.#abort();
    else options.signal?.addEventListener('abort', this.#abort, { once: true });
    this.#feedback.start(options.from);
  }

  /**
   * Whole CopyData messages as they lie on the wire ({@link walkFrames}), in the server's order; valid until the next call. Never
   * called concurrently. What came before the connection was lost is given first; then it rejects, with a classified error.
   * Undefined once aborted or stopped.
   */
  async read(): Promise<Buffer | undefined> {
    for (;;) {
      if (this.#aborted || this.#ahead.dropping) return undefined;
      const frames = this.#ahead.shift();
      if (frames) return frames;
      if (this.#error) throw this.#error;
      await new Promise<void>((resolve) => (this.#wakeReader = resolve));
    }
  }

  /** Whether a read() would resolve at once. */
  get buffered(): boolean {
    return !this.#ahead.empty;
  }

  /** The highest end of the log that has come, read or not. */
  get received(): bigint {
    return this.#arrival.received;
  }

  /** What is confirmed; 0n before the first time. */
  get confirmed(): bigint {
    return this.#feedback.confirmed;
  }

  /** This position is durable: told to the server now, and with every later status. It only grows, and begins where the stream did. */
  confirm(lsn: bigint): void {
    if (this.#feedback.confirm(lsn) && this.#phase === 'streaming') this.#feedback.report(false);
  }

  /** Asks the server where its log ends: a keepalive follows what it has to send. */
  ping(): void {
    if (this.#phase === 'streaming' && !this.#error) this.#feedback.report(true);
  }

  /**
   * The last confirmation, before {@link stop}: true when the server has answered after it was sent, false after `timeoutMs` or on a
   * lost connection. What the server sends meanwhile is dropped: read() gives undefined from now on.
   */
  async flushConfirm(timeoutMs: number): Promise<boolean> {
    if (this.#phase !== 'streaming' || this.#error) return false;
    this.#ahead.drop();
    this.#wake();
    return new Promise((resolve) => {
      const finish = (answered: boolean): void => {
        clearTimeout(timer);
        this.#answered = undefined;
        resolve(answered);
      };
      const timer = setTimeout(() => finish(false), timeoutMs);
      this.#answered = () => finish(this.#error === undefined);
      this.#feedback.report(true);
    });
  }

  /** CopyDone, then the end of the connection. The server reads what was confirmed before it reads of the end. */
  async stop(): Promise<void> {
    if (this.#phase === 'over') return;
    const polite = this.#phase === 'streaming' && !this.#error;
    this.#phase = 'ending';
    this.#feedback.stop();
    this.#options?.signal?.removeEventListener('abort', this.#abort);
    this.#ahead.drop();
    this.#wake();
    if (polite && this.#socket.writable) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, goodbyeMs);
        this.#saidGoodbye = () => {
          clearTimeout(timer);
          resolve();
        };
        this.#socket.write(copyDone);
      });
    }
    this.#phase = 'over';
    this.#socket.end(terminate);
    this.#socket.destroySoon();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  readonly #abort = (): void => {
    this.#aborted = true;
    this.#wake();
  };

  async #query<Row>(command: string): Promise<Row[]> {
    try {
      return (await this.#open.client.query(command)).rows as Row[];
    } catch (error) {
      throw classify(error, { ...this.target, purpose: 'replication' });
    }
  }

  /** False: the server refused, and the driver has the socket back. */
  async #tryStart(options: StreamOptions): Promise<boolean> {
    const handBack = takeOver(this.#socket, {
      data: (chunk) => {
        this.#feedback.heard();
        this.#splitter!.push(chunk);
      },
      lost: (error) => this.#lost(error),
    });
    this.#splitter = new MessageSplitter({ copyData: (frames) => this.#take(frames), message: (type, body) => this.#message(type, body) });
    this.#phase = 'starting';
    this.#startError = undefined;
    const started = await new Promise<boolean>((resolve) => {
      this.#settleStart = resolve;
      this.#socket.write(startCommand(options));
    });
    this.#settleStart = undefined;
    if (started) return true;
    this.#phase = 'idle';
    handBack();
    return false;
  }

  async #holderOf(slot: string): Promise<string> {
    const [row] = await this.#query<{ pid: number | null }>(`SELECT active_pid AS pid FROM pg_catalog.pg_replication_slots WHERE slot_name = ${literal(slot)}`);
    return row?.pid == null ? '' : `; to end that session: SELECT pg_terminate_backend(${row.pid})`;
  }

  #take(frames: Buffer): void {
    const { keepalive, asked } = this.#arrival.see(frames);
    // What follows a failure is not to be read: the position must stay before it.
    if (this.#phase !== 'streaming' || this.#error) return;
    if (asked) this.#feedback.report(false);
    if (this.#answered) {
      if (keepalive) this.#answered();
      return;
    }
    this.#ahead.push(frames);
    this.#wake();
  }

  #message(type: number, body: Buffer): void {
    switch (type) {
      case messageType.copyBothResponse:
        this.#phase = 'streaming';
        this.#settleStart?.(true);
        return;
      case messageType.error:
        if (this.#phase === 'starting') this.#startError = sqlStateOf(body);
        else this.#fail(this.#classified({ code: sqlStateOf(body) }, true));
        return;
      case messageType.readyForQuery:
        // Only now has it let go of the slot.
        this.#saidGoodbye?.();
        this.#settleStart?.(false);
        return;
      case messageType.notice:
        // From 18 on changes of a missing publication are skipped with a warning: that is loss.
        if (isWarning(body, '55000')) this.#fail(this.#classified({ code: '42704' }, true));
        return;
      case messageType.copyDone:
      case messageType.commandComplete:
        // The server ends a stream by itself when it shuts down.
        if (this.#phase === 'streaming') this.#fail(this.#classified({ code: '57P01' }, true));
        return;
    }
  }

  #lost(error: Error | undefined): void {
    this.#fail(this.#classified(error ?? {}, this.#phase === 'streaming'));
    this.#settleStart?.(false);
    this.#saidGoodbye?.();
  }

  #fail(error: ConnectorError): void {
    if (this.#phase === 'over' || this.#phase === 'ending') return;
    this.#error ??= error;
    this.#feedback.stop();
    this.#answered?.();
    this.#wake();
  }

  #classified(error: unknown, streaming: boolean): ConnectorError {
    const { slot, publications } = this.#options!;
    return classifyStreamError(error, { target: this.target, slot, publications, streaming });
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeReader = undefined;
  }
}
