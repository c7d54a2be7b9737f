/**
 * One `COPY … FROM STDIN` for the driver's queue: no more of the source is taken than the socket takes. A chunk must stay as it is until the
 * one after the next is asked for.
 */
import type { Socket } from 'node:net';

/** What the driver hands over. */
interface DriverConnection {
  readonly stream: Socket;
  query(text: string): void;
  sendCopyFail(reason: string): void;
}

// https://www.postgresql.org/docs/current/protocol-message-formats.html
const copyData = 0x64;
const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

export class CopyIn {
  readonly #sql: string;
  readonly #chunks: AsyncIterable<Buffer>;
  readonly #answer: Promise<number>;
  #resolve!: (rows: number) => void;
  #reject!: (error: unknown) => void;
  #rows = 0;
  #over = false;
  #sourceError: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  #sending: Promise<void> | undefined;

  constructor(sql: string, chunks: AsyncIterable<Buffer>) {
    this.#sql = sql;
    this.#chunks = chunks;
    this.#answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Rows that the server took. Rejects with the driver's error, or with what `chunks` threw: then the copy was called off. Settles once `chunks` is let go. */
  async rows(): Promise<number> {
    try {
      return await this.#answer;
    } finally {
      await this.#sending;
    }
  }

  async #send(connection: DriverConnection): Promise<void> {
    const { stream } = connection;
    let sent: Promise<void> | undefined;
    try {
      for await (const chunk of this.#chunks) {
        // One is on its way while the next is made, and no more.
        await sent;
        if (this.#over) return;
        sent = this.#write(stream, chunk);
      }
      await sent;
      if (!this.#over) stream.write(copyDone);
    } catch (error) {
      if (this.#over) return;
      this.#sourceError = { error };
      connection.sendCopyFail('called off');
    }
  }

  /** Resolves when the socket has taken it, or when the statement is over: the server refuses a row while more are on their way. */
  #write(stream: Socket, chunk: Buffer): Promise<void> {
    const head = Buffer.allocUnsafe(5);
    head[0] = copyData;
    head.writeUInt32BE(chunk.length + 4, 1);
    return new Promise((resolve) => {
      this.#wake = resolve;
      stream.cork();
      stream.write(head);
      stream.write(chunk, () => resolve());
      stream.uncork();
    });
  }

  #finish(act: () => void): void {
    this.#over = true;
    this.#wake?.();
    act();
  }

  // What the driver calls on a statement of somebody else's making.

  submit(connection: DriverConnection): void {
    connection.query(this.#sql);
  }

  handleCopyInResponse(connection: DriverConnection): void {
    this.#sending = this.#send(connection);
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#rows = Number(/^COPY (\d+)/.exec(text)?.[1] ?? 0);
  }

  handleReadyForQuery(): void {
    this.#finish(() => this.#resolve(this.#rows));
  }

  handleError(error: Error): void {
    this.#finish(() => this.#reject(this.#sourceError?.error ?? error));
  }
}
