/**
 * Stream patterns, as `--streams` and tapline.yaml write them: `namespace.name`, or a name alone for a stream of that
 * name in any namespace. Each part may be SQL-quoted (`odd."dot.ted"`, `"a""b"`); `*` is any run of characters, only
 * outside quotes. Case counts.
 */
import { configError } from '@tapline/protocol';
import type { StreamDescriptor } from '@tapline/protocol';

export interface StreamPattern {
  /** As it was written, without `!`. */
  readonly text: string;
  /** True if it is exactly one name, so that it can choose a partition. */
  readonly exact: boolean;
  matches(stream: StreamDescriptor): boolean;
}

export interface ListedPattern {
  readonly pattern: StreamPattern;
  /** `!` stood in front. */
  readonly exclude: boolean;
}

/** A comma list of patterns; `!` in front excludes. Throws a `config_error` that says what does not read. */
export function parsePatternList(text: string): ListedPattern[] {
  const items = splitOutsideQuotes(text, ',').map((item) => item.trim());
  if (items.every((item) => item === '')) throw configError('the list of streams is empty: leave it out to take all streams', { code: 'bad_pattern' });
  return items
    .filter((item) => item !== '')
    .map((item) => ({ pattern: parsePattern(item.startsWith('!') ? item.slice(1).trimStart() : item), exclude: item.startsWith('!') }));
}

/** One pattern, without `!`. */
export function parsePattern(text: string): StreamPattern {
  const parts = splitOutsideQuotes(text, '.').map((part) => parsePart(part.trim(), text));
  const [first, second] = parts;
  if (!first || parts.length > 2) {
    throw configError(
      `stream '${text}' has ${parts.length} parts, and namespace.name has two: quote a part that holds a dot, as in odd."dot.ted"`,
      { code: 'bad_pattern' },
    );
  }
  return {
    text,
    exact: parts.every((part) => part.exact),
    matches: second
      ? ({ namespace, name }) => first.test(namespace ?? '') && second.test(name)
      : ({ name }) => first.test(name),
  };
}

/** The one stream that `namespace.name` (or a name alone) names. Throws a `config_error` for a wildcard. */
export function parseStreamName(text: string): StreamDescriptor {
  const { exact } = parsePattern(text);
  if (!exact) throw configError(`'${text}' must be one stream, without *`, { code: 'bad_pattern' });
  const [first, second] = splitOutsideQuotes(text, '.').map((part) => (part.trim().startsWith('"') ? unquote(part.trim(), text) : part.trim()));
  return second === undefined ? { name: first! } : { namespace: first!, name: second };
}

interface Part {
  readonly exact: boolean;
  test(value: string): boolean;
}

function parsePart(part: string, whole: string): Part {
  if (part === '') throw configError(`stream '${whole}' has an empty part: write namespace.name`, { code: 'bad_pattern' });
  if (part.startsWith('"')) {
    const name = unquote(part, whole);
    return { exact: true, test: (value) => value === name };
  }
  if (part.includes('"')) {
    throw configError(`stream '${whole}': quotes must stand around the whole part, as in odd."dot.ted"`, { code: 'bad_pattern' });
  }
  if (!part.includes('*')) return { exact: true, test: (value) => value === part };
  const expression = new RegExp(`^${part.split('*').map(escapeExpression).join('.*')}$`, 'su');
  return { exact: false, test: (value) => expression.test(value) };
}

/** The name inside SQL quotes; `""` stands for one quote. */
function unquote(part: string, whole: string): string {
  const match = /^"((?:[^"]|"")+)"$/s.exec(part);
  if (!match) throw configError(`stream '${whole}': a quote is not closed, or nothing stands inside it`, { code: 'bad_pattern' });
  return match[1]!.replaceAll('""', '"');
}

/** Splits at a character that stands outside double quotes. A quote that is never closed runs to the end. */
export function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = [];
  let quoted = false;
  let start = 0;
  for (let index = 0; index < text.length; index++) {
    if (text[index] === '"') quoted = !quoted;
    else if (text[index] === separator && !quoted) {
      parts.push(text.slice(start, index));
      start = index + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

const escapeExpression = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/-]/gu, (character) => `\\${character}`);
