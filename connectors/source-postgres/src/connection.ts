/** A session of ours: pinned settings, read-only, and errors that are classified. */
import { connect as connectNet, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import pg from 'pg';
import { configError, type ConnectorError } from '@tapline/protocol';
import { classify, type Attempt } from './classify.js';
import { targetOf, type Config, type Target } from './config.js';
import { CopyOut, type CopyBlock, type CopyOptions } from './copy-out.js';
import { passwordFromFile } from './passfile.js';
import { openSocket } from './socket.js';
import { literal } from './sql.js';
import { attemptsOf, type TlsAttempt } from './tls.js';

type RawClient = pg.Client & { readonly connection: { readonly stream: Socket }; readonly processID: number; readonly secretKey: number };

export class Connection implements AsyncDisposable {
  readonly #client: RawClient;
  readonly #target: Target;
  #broken = false;

  private constructor(client: RawClient, target: Target) {
    this.#client = client;
    this.#target = target;
    client.on('error', () => (this.#broken = true));
    client.on('end', () => (this.#broken = true));
  }

  /** Rejects with a classified error. */
  static async open(config: Config): Promise<Connection> {
    const target = targetOf(config, process.env, systemUser());
    const attempts = attemptsOf(target);
    for (const [index, attempt] of attempts.entries()) {
      try {
        const connection = new Connection(await connect(target, attempt), target);
        await connection.query(settings(config));
        return connection;
      } catch (error) {
        const classified = classify(error, target);
        // As libpq: the other way is tried where this one was not admitted, or TLS did not come up. A wrong password stays one.
        if (index === attempts.length - 1 || !['pg_not_admitted', 'pg_tls', 'pg_tls_untrusted'].includes(classified.code)) throw classified;
      }
    }
    throw new Error('no attempt was made');
  }

  get target(): Target {
    return this.#target;
  }

  /** No statement can be run any more. */
  get broken(): boolean {
    return this.#broken;
  }

  /** Rows of one statement. Rejects with what the driver says: {@link classify} it with the table in question. */
  async query<Row>(sql: string, values?: readonly unknown[]): Promise<Row[]> {
    const result = await this.#client.query(sql, values as unknown[]);
    return (result.rows ?? []) as Row[];
  }

  /** See {@link CopyOut}. A consumer that stops early ends the connection. */
  async *copyOut(sql: string, options: CopyOptions): AsyncGenerator<CopyBlock, void, undefined> {
    const copy = new CopyOut(sql, options);
    // The driver's types know a connection only as its whole class.
    this.#client.query(copy as unknown as pg.Submittable);
    let finished = false;
    try {
      yield* copy.blocks();
      finished = true;
    } finally {
      if (!finished && !copy.failed) await this.#abort();
    }
  }

  classify(error: unknown, relation?: Attempt['relation']): ConnectorError {
    return classify(error, relation ? { ...this.#target, relation } : this.#target);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#broken) await this.#client.end().catch(() => {});
  }

  /** Ends a statement that is running: asks the server to cancel it, and closes the connection under it. */
  async #abort(): Promise<void> {
    this.#broken = true;
    await cancel(this.#target, this.#client.processID, this.#client.secretKey);
    this.#client.connection.stream.destroy();
  }
}

async function connect(target: Target, attempt: TlsAttempt): Promise<RawClient> {
  const timeout = AbortSignal.timeout(target.connectTimeoutMs);
  const socket = await openSocket(target, attempt, timeout);
  // The driver calls connect() and waits for the event; the socket is connected already.
  socket.connect = (() => {
    process.nextTick(() => socket.emit('connect'));
    return socket;
  }) as Socket['connect'];
  const password = target.password ?? (await passwordFromFile(target));
  const client = new pg.Client({
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    password: () => password ?? Promise.reject(noPassword(target)),
    application_name: target.applicationName,
    client_encoding: 'UTF8',
    ssl: false,
    stream: () => socket,
  }) as RawClient;
  const timeOut = (): void => void socket.destroy(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' }));
  timeout.addEventListener('abort', timeOut, { once: true });
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    timeout.removeEventListener('abort', timeOut);
  }
  return client;
}

const noPassword = ({ user, host, port }: Target): ConnectorError =>
  configError(`${host}:${port} asks for the password of user '${user}', and there is none: set password, PGPASSWORD or ~/.pgpass`, { code: 'pg_no_password' });

/** Whatever the role, the database or the server has set: values must have one form, and reading must change nothing. */
function settings(config: Config): string {
  const ms = (seconds: number): string => String(Math.round(seconds * 1000));
  const pinned: Readonly<Record<string, string>> = {
    TimeZone: 'UTC',
    DateStyle: 'ISO, MDY',
    IntervalStyle: 'postgres',
    extra_float_digits: '1',
    bytea_output: 'hex',
    xmloption: 'content',
    lc_monetary: 'C',
    search_path: '',
    standard_conforming_strings: 'on',
    default_transaction_read_only: 'on',
    statement_timeout: ms(config.statement_timeout),
    lock_timeout: ms(config.lock_timeout),
    idle_in_transaction_session_timeout: ms(config.idle_timeout),
    // Compiling a plan that is used once costs more than it saves.
    jit: 'off',
  };
  return `SELECT ${Object.entries(pinned).map(([name, value]) => `pg_catalog.set_config(${literal(name)}, ${literal(value)}, false)`).join(', ')}`;
}

/** https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS; at most a second. */
function cancel({ host, port }: Target, processId: number, secretKey: number): Promise<void> {
  const packet = Buffer.alloc(16);
  packet.writeInt32BE(16, 0);
  packet.writeInt32BE(80_877_102, 4);
  packet.writeInt32BE(processId, 8);
  packet.writeInt32BE(secretKey, 12);
  return new Promise((resolve) => {
    const socket = host.startsWith('/') ? connectNet(`${host}/.s.PGSQL.${port}`) : connectNet({ host, port });
    const finish = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve();
    };
    const timer = setTimeout(finish, 1000);
    socket.on('error', finish).on('close', finish).on('connect', () => socket.end(packet));
    socket.resume();
  });
}

function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    return '';
  }
}
