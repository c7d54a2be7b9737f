import { UsageError } from './arguments.js';

/** `500ms`, `1s`, `2m`, `1h` as milliseconds. */
export function parseDuration(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const ms = match ? Number(match[1]) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] as 'ms' | 's' | 'm' | 'h'] : 0;
  if (ms < 1) throw new UsageError(`${flag} ${text} is no time: write 500ms, 1s or 2m.`, 'sync');
  return Math.round(ms);
}

/** A whole number from 0. */
export function parseCount(text: string, flag: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new UsageError(`${flag} ${text} is no count: write a whole number such as 5.`, 'sync');
  return Number(text);
}
