/*
 * START_REPLICATION by a client that does next to nothing, up to a position: what pg_recvlogical does, for machines without one.
 *   node replication-reader.js URL SLOT PUBLICATION X/Y
 */
import type { Socket } from 'node:net';
import pg from 'pg';
import { lsnOf } from './cdc-server.js';

const [url = '', slot = '', publication = '', endText = ''] = process.argv.slice(2);
const end = lsnOf(endText);
const client = new pg.Client({ connectionString: url, replication: 'database' } as pg.ClientConfig);
await client.connect();
const socket = (client as unknown as { connection: { stream: Socket } }).connection.stream;
client.on('error', () => {});
socket.removeAllListeners('data');

const message = (type: number, body: Buffer): Buffer => {
  const head = Buffer.from([type, 0, 0, 0, 0]);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
const status = (position: bigint): Buffer => {
  const body = Buffer.alloc(34);
  body[0] = 0x72;
  for (const at of [1, 9, 17]) body.writeBigUInt64BE(position, at);
  return message(0x64, body);
};
socket.write(message(0x51, Buffer.from(`START_REPLICATION SLOT "${slot}" LOGICAL 0/0 (proto_version '1', publication_names '"${publication}"')\0`)));

let rest: Buffer = Buffer.alloc(0);
let bytes = 0;
let seen = 0n;
for await (const chunk of socket as AsyncIterable<Buffer>) {
  const data = rest.length ? Buffer.concat([rest, chunk]) : chunk;
  let at = 0;
  while (seen < end && at + 5 <= data.length) {
    const length = data.readInt32BE(at + 1);
    if (at + 1 + length > data.length) break;
    if (data[at] === 0x45) throw new Error(data.toString('utf8', at + 5, at + 1 + length));
    if (data[at] === 0x64 && data[at + 5] === 0x77) bytes += length - 4;
    if (data[at] === 0x64 && data[at + 5] === 0x6b) {
      seen = data.readBigUInt64BE(at + 6);
      if (data[at + 22] === 1 && seen < end) socket.write(status(0n));
    }
    at += 1 + length;
  }
  rest = data.subarray(at);
  if (seen >= end) break;
}
console.log(bytes);
socket.destroy();
