/** The way to a PostgreSQL server, on which one COMMIT can get lost: the request, or its answer. Without TLS only. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface CommitWire {
  readonly port: number;
  /** Once, the connection that sends the `nth` COMMIT from now is reset: before the server gets it, or after the server has answered. */
  lose(what: 'request' | 'answer', nth?: number): void;
  /** How many were lost. */
  readonly lost: number;
  stop(): Promise<void>;
}

/** A simple or a parsed statement that begins with COMMIT, in whatever message it comes. */
const commit = /COMMIT(?: |;|\0)/i;

export async function startCommitWire(upstream: { readonly host: string; readonly port: number }): Promise<CommitWire> {
  const sockets = new Set<Socket>();
  let armed: { what: 'request' | 'answer'; left: number } | undefined;
  let lost = 0;
  const server = createServer({ noDelay: true }, (client) => {
    const behind = connect({ ...upstream, noDelay: true });
    for (const socket of [client, behind]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => sockets.delete(socket));
    }
    const reset = (): void => {
      lost++;
      client.resetAndDestroy();
      behind.destroy();
    };
    let swallows = false;
    client.on('data', (chunk: Buffer) => {
      // A COPY's data are large; the statement that ends a transaction is alone in its packet.
      if (armed && chunk.length < 200 && commit.test(chunk.toString('latin1')) && --armed.left === 0) {
        const { what } = armed;
        armed = undefined;
        if (what === 'request') return reset();
        swallows = true;
      }
      if (!behind.write(chunk)) {
        client.pause();
        behind.once('drain', () => client.resume());
      }
    });
    behind.on('data', (chunk: Buffer) => {
      // The server has committed by the time it answers.
      if (swallows) return reset();
      if (!client.write(chunk)) {
        behind.pause();
        client.once('drain', () => behind.resume());
      }
    });
    client.once('close', () => behind.destroy());
    behind.once('close', () => client.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    lose(what, nth = 1) {
      armed = { what, left: nth };
    },
    get lost() {
      return lost;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
