/**
 * The messages inside CopyData, in both directions.
 * https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-START-REPLICATION
 */

const xLogData = 0x77;
const keepalive = 0x6b;
/** `d`, its length, the kind of message. */
const head = 5;
/** Kind, start, end, clock: what stands before the message of the plugin. */
const dataHead = 25;
/** Microseconds from 1970 to 2000, where PostgreSQL's clock begins. */
const epoch = 946_684_800_000_000n;

export interface FrameHandler {
  /** One pgoutput message, at `[start, end)`. True: stop behind it. */
  data(start: number, end: number): boolean | void;
  keepalive(walEnd: bigint, replyRequested: boolean): void;
}

/** `bytes` hold whole CopyData messages as they lie on the wire. Returns where to go on: the end, or behind the message that stopped it. */
export function walkFrames(bytes: Buffer, handler: FrameHandler, from = 0): number {
  let at = from;
  while (at < bytes.length) {
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    const kind = bytes[at + head];
    if (kind === xLogData) {
      if (handler.data(at + head + dataHead, end) === true) return end;
    } else if (kind === keepalive) handler.keepalive(bytes.readBigUInt64BE(at + head + 1), bytes[at + head + 17] === 1);
    at = end;
  }
  return at;
}

/** Where in the log a message of {@link FrameHandler.data} comes from. It goes back and forth: no position to confirm. */
export const walStart = (bytes: Buffer, start: number): bigint => bytes.readBigUInt64BE(start - dataHead + 1);

export interface Status {
  /** The end of what has come. */
  readonly received: bigint;
  /** The end of what is durable: the server forgets everything before it. */
  readonly confirmed: bigint;
  readonly replyRequested: boolean;
}

/** A standby status update, as a CopyData message. */
export function statusFrame({ received, confirmed, replyRequested }: Status): Buffer {
  const frame = Buffer.allocUnsafe(39);
  frame.write('d', 0, 'latin1');
  frame.writeUInt32BE(38, 1);
  frame.write('r', 5, 'latin1');
  frame.writeBigUInt64BE(received > confirmed ? received : confirmed, 6);
  frame.writeBigUInt64BE(confirmed, 14);
  frame.writeBigUInt64BE(confirmed, 22);
  frame.writeBigInt64BE(BigInt(Date.now()) * 1000n - epoch, 30);
  frame.writeUInt8(replyRequested ? 1 : 0, 38);
  return frame;
}
