/** The driver on a socket of ours: TLS as libpq means it, the password from where libpq looks, and every error classified. */
import { connect as connectNet, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import type pg from 'pg';
import { configError, type ConnectorError } from '@tapline/protocol';
import { classify, type Purpose } from './classify.js';
import { loadDriver } from './driver.js';
import { targetOf, type ConnectionConfig, type Target } from './target.js';
import { passwordFromFile } from './passfile.js';
import { openSocket } from './socket.js';
import { attemptsOf, type TlsAttempt } from './tls.js';

export type RawClient = pg.Client & { readonly connection: { readonly stream: Socket }; readonly processID: number; readonly secretKey: number };

export interface OpenClient {
  readonly client: RawClient;
  readonly target: Target;
}

/** Connects and pins the session with `settings`. Rejects with a classified error. */
export async function openClient(config: ConnectionConfig, settings: string, purpose: Purpose = 'query'): Promise<OpenClient> {
  const target = targetOf(config, process.env, systemUser());
  const attempts = attemptsOf(target);
  for (const [index, attempt] of attempts.entries()) {
    let client: RawClient | undefined;
    try {
      client = await connect(target, attempt, purpose);
      await client.query(settings);
      return { client, target };
    } catch (error) {
      client?.connection.stream.destroy();
      const classified = classify(error, { ...target, purpose });
      // As libpq: the other way is tried where this one was not admitted, or TLS did not come up. A wrong password stays one.
      if (index === attempts.length - 1 || !['pg_not_admitted', 'pg_tls', 'pg_tls_untrusted'].includes(classified.code)) throw classified;
    }
  }
  throw new Error('no attempt was made');
}

async function connect(target: Target, attempt: TlsAttempt, purpose: Purpose): Promise<RawClient> {
  const timeout = AbortSignal.timeout(target.connectTimeoutMs);
  const socket = await openSocket(target, attempt, timeout);
  // The driver calls connect() and waits for the event; the socket is connected already.
  socket.connect = (() => {
    process.nextTick(() => socket.emit('connect'));
    return socket;
  }) as Socket['connect'];
  const password = target.password ?? (await passwordFromFile(target));
  const driver = await loadDriver();
  const client = new driver.Client({
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    password: () => password ?? Promise.reject(noPassword(target)),
    application_name: target.applicationName,
    client_encoding: 'UTF8',
    ssl: false,
    ...(purpose === 'replication' && { replication: 'database' }),
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

/** https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS; at most a second. */
export function cancel({ host, port }: Target, processId: number, secretKey: number): Promise<void> {
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
