/**
 * A network between a client and a server that can be made slow, cut and silent. In the test's own process: toxiproxy 2.5, tried
 * first, stops answering its own API for good once a toxic is added while one of the two sides does not read.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Network {
  readonly host: string;
  /** Stays the same while the server behind it comes and goes. */
  readonly port: number;
  /** Whatever comes through, in either direction, takes that much longer, and so does what is behind it. */
  latency(ms: number): void;
  /** Ends all connections with a reset, new ones too, until restore(). */
  cut(): void;
  /** Nothing comes through, in either direction, and nobody is told; it does at restore(), if both sides are still there. */
  stall(): void;
  restore(): void;
  stop(): Promise<void>;
}

export async function startNetwork(upstream: { readonly host: string; readonly port: number }): Promise<Network> {
  const sockets = new Set<Socket>();
  let latencyMs = 0;
  let isCut = false;
  let stalled: { readonly over: Promise<void>; readonly end: () => void } | undefined;

  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    return socket;
  };
  const pump = async (from: Socket, to: Socket): Promise<void> => {
    try {
      for await (const chunk of from) {
        if (latencyMs > 0) await sleep(latencyMs);
        await stalled?.over;
        if (to.destroyed) break;
        if (!to.write(chunk as Buffer)) await roomIn(to);
      }
      await stalled?.over;
      to.end();
    } catch {
      // It was reset: so is the other.
      to.destroy();
    }
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    keep(client);
    if (isCut) {
      client.resetAndDestroy();
      return;
    }
    const behind = keep(connect({ ...upstream, allowHalfOpen: true, noDelay: true }));
    void pump(client, behind);
    void pump(behind, client);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const restore = (): void => {
    latencyMs = 0;
    isCut = false;
    stalled?.end();
    stalled = undefined;
  };
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    latency: (ms) => void (latencyMs = ms),
    cut() {
      isCut = true;
      for (const socket of sockets) socket.resetAndDestroy();
    },
    stall() {
      let end!: () => void;
      stalled ??= { over: new Promise<void>((resolve) => (end = resolve)), end: () => end() };
    },
    restore,
    async stop() {
      restore();
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const roomIn = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    const go = (): void => {
      socket.off('drain', go).off('close', go);
      resolve();
    };
    socket.once('drain', go).once('close', go);
  });
