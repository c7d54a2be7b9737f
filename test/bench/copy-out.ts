/*
 * COPY … TO STDOUT by a client that does next to nothing: to nowhere, or to stdout. What psql does, for machines without one.
 *   node copy-out.js URL SQL [discard]
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import pg from 'pg';

const [url = '', sql = '', mode] = process.argv.slice(2);
const client = new pg.Client({ connectionString: url });
await client.connect();
// Once it is logged in, the protocol is a byte, a length and a payload: no object a row.
const socket = (client as unknown as { connection: { stream: Socket } }).connection.stream;
client.on('error', () => {});
socket.removeAllListeners('data');
const query = Buffer.from(`${sql}\0`);
const head = Buffer.from([0x51, 0, 0, 0, 0]);
head.writeInt32BE(query.length + 4, 1);
socket.write(Buffer.concat([head, query]));

let rest: Buffer = Buffer.alloc(0);
let bytes = 0;
let done = false;
for await (const chunk of socket as AsyncIterable<Buffer>) {
  const data = rest.length ? Buffer.concat([rest, chunk]) : chunk;
  const out = mode === 'discard' ? undefined : Buffer.allocUnsafe(data.length);
  let filled = 0;
  let at = 0;
  while (at + 5 <= data.length) {
    const length = data.readInt32BE(at + 1);
    if (at + 1 + length > data.length) break;
    const type = data[at];
    if (type === 0x64) {
      if (out) filled += data.copy(out, filled, at + 5, at + 1 + length);
      bytes += length - 4;
    } else if (type === 0x45) {
      throw new Error(data.toString('utf8', at + 5, at + 1 + length));
    } else if (type === 0x5a) {
      done = true;
    }
    at += 1 + length;
  }
  rest = data.subarray(at);
  if (out && filled && !process.stdout.write(out.subarray(0, filled))) await once(process.stdout, 'drain');
  if (done) break;
}
if (mode === 'discard') console.log(bytes);
socket.destroy();
