/** What must be known of frames the moment they come, long before somebody reads them. */
export class Arrival {
  #high = 0;
  #low = 0;

  /** The highest end of the log that a frame has told of. */
  get received(): bigint {
    return (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  /** Returns whether there was a keepalive, and whether one asks for an answer. */
  see(frames: Buffer): { readonly keepalive: boolean; readonly asked: boolean } {
    let keepalive = false;
    let asked = false;
    for (let at = 0; at < frames.length; at += 1 + frames.readUInt32BE(at + 1)) {
      // Both kinds: `w` has its end behind its start, `k` at once. As two numbers: a bigint a row would cost more than the row.
      const isKeepalive = frames[at + 5] === 0x6b;
      const end = at + (isKeepalive ? 6 : 14);
      const high = frames.readUInt32BE(end);
      const low = frames.readUInt32BE(end + 4);
      if (high > this.#high || (high === this.#high && low > this.#low)) {
        this.#high = high;
        this.#low = low;
      }
      if (isKeepalive) {
        keepalive = true;
        asked ||= frames[at + 22] === 1;
      }
    }
    return { keepalive, asked };
  }
}
