import { forEachMember, skipSpace, summarizeState } from '@tapline/protocol';

/** The text of a `--state` file: an array of states; or a legacy state's bare value, for those that write it read no other form. */
export function stateFile(states: readonly string[]): string {
  const [only] = states;
  if (only !== undefined && states.length === 1 && summarizeState(only).kind === 'LEGACY') return legacyValue(only) ?? `[${only}]`;
  return `[${states.join(',')}]`;
}

function legacyValue(body: string): string | undefined {
  const bytes = Buffer.from(body);
  let value: string | undefined;
  forEachMember(bytes, skipSpace(bytes, 0), (key, start, end) => {
    if (key === 'data') value = bytes.toString('utf8', start, end);
  });
  return value;
}
