/*
 * COPY … FROM STDIN by a client that does next to nothing. What psql does, for machines without one.
 *   node copy-in.js URL SQL < file
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import pg from 'pg';

const [url = '', sql = ''] = process.argv.slice(2);
const client = new pg.Client({ connectionString: url });
await client.connect();
// Once it is logged in, the protocol is a byte, a length and a payload: no object a row.
const socket = (client as unknown as { connection: { stream: Socket } }).connection.stream;
client.on('error', () => {});
socket.removeAllListeners('data');

const message = (type: string, payload: Buffer): Buffer => {
  const head = Buffer.from([type.charCodeAt(0), 0, 0, 0, 0]);
  head.writeInt32BE(payload.length + 4, 1);
  return Buffer.concat([head, payload]);
};

/** Resolves with what has come by the time the server wants rows, or is done. */
async function until(wanted: string): Promise<void> {
  let data: Buffer = Buffer.alloc(0);
  for (;;) {
    for (let at = 0; at + 5 <= data.length; at += 1 + data.readInt32BE(at + 1)) {
      const type = String.fromCharCode(data[at]!);
      if (type === 'E') throw new Error(data.toString('utf8', at + 5));
      if (type === wanted) return;
    }
    const [more] = (await once(socket, 'data')) as [Buffer];
    data = Buffer.concat([data, more]);
  }
}

socket.write(message('Q', Buffer.from(`${sql}\0`)));
await until('G');
for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
  if (!socket.write(message('d', chunk))) await once(socket, 'drain');
}
socket.write(message('c', Buffer.alloc(0)));
await until('Z');
socket.destroy();
