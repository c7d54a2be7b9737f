/** START, the first line on stdin of a connector that was started before it was known what it is to do. */
import type { Readable } from 'node:stream';
import { StartMessage, protocolError } from '@tapline/protocol';

const LF = 0x0a;

/**
 * Resolves with START once it has come; what follows it stays in `input`. Undefined: the input ended before, or the signal was aborted,
 * and there is nothing to do. Rejects with a protocol error if another line came.
 */
export async function startOf(input: Readable, signal: AbortSignal): Promise<StartMessage | undefined> {
  const line = await firstLine(input, signal);
  if (line === undefined) return undefined;
  const { type, tapline } = parsed(line);
  const start = StartMessage.safeParse(tapline);
  if (type !== 'TAPLINE' || !start.success) throw protocolError(`the first line on standard input, of ${line.length} bytes, is not START, which this session begins with`);
  return start.data;
}

function firstLine(input: Readable, signal: AbortSignal): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    const settle = (line: Buffer | undefined): void => {
      input.off('readable', take).off('end', end).off('error', end).off('close', end);
      signal.removeEventListener('abort', end);
      resolve(line);
    };
    const end = (): void => settle(undefined);
    const take = (): void => {
      for (let chunk = input.read() as Buffer | null; chunk !== null; chunk = input.read() as Buffer | null) {
        const newline = chunk.indexOf(LF);
        parts.push(newline === -1 ? chunk : chunk.subarray(0, newline));
        if (newline === -1) continue;
        settle(Buffer.concat(parts));
        if (newline + 1 < chunk.length) input.unshift(chunk.subarray(newline + 1));
        return;
      }
    };
    input.on('readable', take).on('end', end).on('error', end).on('close', end);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
  });
}

function parsed(line: Buffer): { readonly type?: unknown; readonly tapline?: unknown } {
  try {
    return (JSON.parse(line.toString('utf8')) ?? {}) as { type?: unknown; tapline?: unknown };
  } catch {
    return {};
  }
}
