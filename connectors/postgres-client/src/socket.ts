/**
 * A socket to PostgreSQL with TLS already up, for the driver to speak on. Done here and not by the driver, because its errors about
 * TLS carry no code, and it knows no `prefer` and `allow`.
 */
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { configError } from '@tapline/protocol';
import type { Target } from './target.js';
import { tlsOptions, type TlsAttempt } from './tls.js';

// Length 8, code 1234.5679: https://www.postgresql.org/docs/current/protocol-message-formats.html
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const offered = 0x53;

/** Rejects with the code that Node gives; ETIMEDOUT when `signal` is aborted. */
export async function openSocket(target: Target, attempt: TlsAttempt, signal: AbortSignal): Promise<Socket> {
  const { host, port } = target;
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect({ host, port });
  socket.setNoDelay(true).setKeepAlive(true, 60_000);
  await settled(socket, 'connect', signal);
  if (attempt === 'plain') return socket;
  socket.write(sslRequest);
  const answer = await firstByte(socket, signal);
  if (answer !== offered) {
    if (attempt === 'if_offered') return socket;
    socket.destroy();
    throw configError(`${host}:${port} offers no TLS, and sslmode=${target.sslmode} asks for it: turn ssl on in postgresql.conf, or use sslmode=prefer`, { code: 'pg_tls_not_offered' });
  }
  const secure = connectTls({ socket, ...tlsOptions(target), host, ...(isIP(host) === 0 && { servername: host }) });
  await settled(secure, 'secureConnect', signal);
  return secure;
}

function settled(socket: Socket, event: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (act: () => void): void => {
      socket.off(event, succeed).off('error', fail).off('close', close);
      signal.removeEventListener('abort', timeOut);
      act();
    };
    const succeed = (): void => finish(resolve);
    const fail = (error: Error): void => finish(() => {
      socket.on('error', () => {}).destroy();
      reject(error);
    });
    const close = (): void => fail(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }));
    const timeOut = (): void => fail(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' }));
    socket.once(event, succeed).once('error', fail).once('close', close);
    if (signal.aborted) timeOut();
    else signal.addEventListener('abort', timeOut, { once: true });
  });
}

async function firstByte(socket: Socket, signal: AbortSignal): Promise<number> {
  await settled(socket, 'readable', signal);
  // Exactly one byte: what follows belongs to TLS or to the driver.
  const byte = socket.read(1) as Buffer | null;
  if (byte === null) throw Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' });
  return byte[0]!;
}
