/*
 * A destination that does next to nothing: it throws the records away and sends every STATE back as it came. What a run costs without one.
 *   node null-destination.js VERB …
 */
import { once } from 'node:events';

const say = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

async function write(): Promise<void> {
  // A line break never stands inside a message, so a STATE is found without looking into the records.
  const mark = Buffer.from('\n{"type":"STATE"');
  let rest: Buffer = Buffer.from('\n');
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    const data = Buffer.concat([rest, chunk]);
    const whole = data.lastIndexOf(10);
    for (let at = data.indexOf(mark); at !== -1 && at < whole; ) {
      const end = data.indexOf(10, at + 1);
      if (end === -1) break;
      if (!process.stdout.write(data.subarray(at + 1, end + 1))) await once(process.stdout, 'drain');
      at = data.indexOf(mark, end);
    }
    // From the last line break on: what follows it is the beginning of a line.
    rest = data.subarray(whole);
  }
}

switch (process.argv[2]) {
  case 'spec':
    say({ type: 'SPEC', spec: { connectionSpecification: { type: 'object', properties: {} }, supported_destination_sync_modes: ['append', 'overwrite'] } });
    break;
  case 'check':
    say({ type: 'CONNECTION_STATUS', connectionStatus: { status: 'SUCCEEDED' } });
    break;
  case 'write':
    await write();
    break;
  default:
    process.exitCode = 78;
}
