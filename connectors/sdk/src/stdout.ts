/** Takes stdout for the protocol: after this nothing but {@link Stdout} reaches it. */
import { Console } from 'node:console';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { LineWriter } from '@tapline/protocol';
import { Output } from './output.js';

export interface Stdout {
  readonly writer: LineWriter;
  readonly output: Output;
  /** Ends the process once everything written has left it. A peer that is gone ends it at once, with 1. */
  exit(code: number): Promise<never>;
}

export function takeStdout(): Stdout {
  const { stdout, stderr } = process;
  const write = stdout.write.bind(stdout);
  // What a library prints would stand among the messages: to stderr with it.
  stdout.write = stderr.write.bind(stderr);
  globalThis.console = new Console(stderr, stderr);

  const owned = new Proxy(stdout, {
    get(target, key) {
      if (key === 'write') return write;
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const writer = new LineWriter(owned as Writable);
  // Whoever reads us is gone. Nobody is left to be told why.
  stdout.on('error', () => process.exit(1));
  stderr.on('error', () => {});
  return {
    writer,
    output: new Output(writer),
    async exit(code) {
      await new Promise((resolve) => write('', resolve));
      await Promise.race([new Promise((resolve) => stderr.write('', resolve)), sleep(1000)]);
      return process.exit(code);
    },
  };
}
