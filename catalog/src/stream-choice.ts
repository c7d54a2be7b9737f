/** The choice of streams as a list of patterns: what a source gets to tell whether a stream that appears is wanted. */
import type { AirbyteStream } from '@tapline/protocol';
import { parsePattern } from './pattern.js';
import { takesStream, type StreamRule } from './rules.js';

/** The patterns as they were written, in order, `!` in front = excluded. Empty = all. */
export const selectionOf = (rules: readonly StreamRule[]): string[] =>
  rules.flatMap(({ pattern, enabled }) => (enabled === undefined ? [] : [`${enabled ? '' : '!'}${pattern.text}`]));

/** Whether a selection wants this stream. A partition (`tapline.partition_of`) only where it is named without `*`. */
export function isSelected(selection: readonly string[], stream: AirbyteStream): boolean {
  const rules = selection.map((text): StreamRule => {
    const exclude = text.startsWith('!');
    return { pattern: parsePattern(exclude ? text.slice(1) : text), enabled: !exclude };
  });
  return takesStream(rules, stream);
}
