/** Which of the discovered streams a sync takes, and what was wished for each: rules in order, later ones win. */
import { configError, streamKey } from '@tapline/protocol';
import type { AirbyteStream } from '@tapline/protocol';
import type { ColumnSelection } from './columns.js';
import type { ModeWish } from './mode.js';
import { nearest } from './nearest.js';
import { parsePattern, parsePatternList, splitOutsideQuotes, type StreamPattern } from './pattern.js';
import { parseMode } from './mode.js';

export interface StreamRule {
  readonly pattern: StreamPattern;
  /** Takes or leaves the streams that match; undefined = only says how. */
  readonly enabled?: boolean | undefined;
  readonly mode?: ModeWish | undefined;
  readonly cursor?: string | undefined;
  /** Columns that tell rows apart, where the source names none. */
  readonly key?: readonly string[] | undefined;
  readonly columns?: ColumnSelection | undefined;
  /** Where the rule was written, for messages: `--streams`, `tapline.yaml line 12`. */
  readonly origin?: string | undefined;
}

/** The rules of a `--streams` list. Exclusions win, wherever they stand in the list. */
export function rulesOfList(text: string, origin = '--streams'): StreamRule[] {
  const listed = parsePatternList(text);
  const rule = ({ pattern, exclude }: (typeof listed)[number]): StreamRule => ({ pattern, enabled: !exclude, origin });
  return [...listed.filter(({ exclude }) => !exclude).map(rule), ...listed.filter(({ exclude }) => exclude).map(rule)];
}

/** The rule of one `--mode STREAM=MODE`; STREAM may be a pattern. It chooses no streams. */
export function ruleOfModeFlag(text: string): StreamRule {
  const [stream, ...rest] = splitOutsideQuotes(text, '=');
  if (!stream || rest.length === 0) {
    throw configError(`--mode '${text}' is not STREAM=MODE, as in public.orders=incremental:updated_at`, { code: 'bad_mode' });
  }
  return { pattern: parsePattern(stream.trim()), mode: parseMode(rest.join('=').trim()), origin: '--mode' };
}

export interface ChosenStream {
  readonly stream: AirbyteStream;
  readonly mode: ModeWish | undefined;
  readonly cursor: string | undefined;
  readonly key: readonly string[] | undefined;
  readonly columns: ColumnSelection | undefined;
}

/** The streams that the rules take, in the catalog's order. Throws a `config_error` for a rule that matches nothing. */
export function chooseStreams(streams: readonly AirbyteStream[], rules: readonly StreamRule[]): ChosenStream[] {
  const unique = [...new Map(streams.map((stream) => [streamKey(stream), stream])).values()];
  for (const rule of rules) requireMatch(rule, unique);
  const chosen = unique.filter((stream) => takesStream(rules, stream)).map((stream) => chooseStream(rules, stream));
  if (chosen.length === 0) throw configError(nothingChosen(unique), { code: 'no_streams' });
  return chosen;
}

/** Whether the rules take the stream. */
export function takesStream(rules: readonly StreamRule[], stream: AirbyteStream): boolean {
  const partition = partitionOf(stream) !== undefined;
  let taken = !partition && !rules.some((rule) => rule.enabled === true);
  for (const { enabled, pattern } of rules) {
    // A partition travels with its root: a wildcard does not mean it.
    if (enabled !== undefined && pattern.matches(stream) && (!enabled || !partition || pattern.exact)) taken = enabled;
  }
  return taken;
}

/** What the rules wish for a stream that they take. */
export function chooseStream(rules: readonly StreamRule[], stream: AirbyteStream): ChosenStream {
  let [mode, cursor, columns]: [ModeWish | undefined, string | undefined, ColumnSelection | undefined] = [undefined, undefined, undefined];
  let key: readonly string[] | undefined;
  for (const rule of rules) {
    if (!rule.pattern.matches(stream)) continue;
    // A new mode forgets the cursor of the old one.
    if (rule.mode) [mode, cursor] = [rule.mode, undefined];
    cursor = rule.cursor ?? cursor;
    key = rule.key ?? key;
    columns = rule.columns ?? columns;
  }
  return { stream, mode, cursor, key, columns };
}

/** The root of a stream that is a partition (the additional property `tapline.partition_of`), or undefined. */
export function partitionOf(stream: AirbyteStream): string | undefined {
  const extra = stream['tapline'];
  if (typeof extra !== 'object' || extra === null || !('partition_of' in extra)) return undefined;
  const root = extra.partition_of;
  if (typeof root === 'string') return root;
  return typeof root === 'object' && root !== null && 'name' in root ? streamKey(root as { name: string }) : undefined;
}

function requireMatch({ pattern, enabled, origin }: StreamRule, streams: readonly AirbyteStream[]): void {
  const matched = streams.filter((stream) => pattern.matches(stream));
  const where = origin ? `${origin}: ` : '';
  if (matched.length === 0) {
    // Excluding by wildcard what is not there today is harmless; a mistyped name would copy what nobody wanted.
    if (enabled === false && !pattern.exact) return;
    throw configError(`${where}no stream matches '${pattern.text}'.${suggestion(pattern.text, streams)}`, { code: 'unknown_stream' });
  }
  if (enabled !== true || pattern.exact || matched.some((stream) => partitionOf(stream) === undefined)) return;
  const roots = [...new Set(matched.map((stream) => partitionOf(stream)))].join(', ');
  throw configError(
    `${where}'${pattern.text}' matches only partitions, which are copied as part of ${roots}. To copy a partition by itself, name it without *.`,
    { code: 'only_partitions' },
  );
}

function suggestion(text: string, streams: readonly AirbyteStream[]): string {
  if (streams.length === 0) return ' The source has no streams that this user may read.';
  const keys = streams.map(streamKey);
  const plain = text.replaceAll('*', '');
  const byName = streams.filter(({ name }) => nearest(plain.split('.').at(-1) ?? plain, [name]).length > 0).map(streamKey);
  const near = [...new Set([...nearest(plain, keys), ...byName])].slice(0, 3);
  if (near.length > 0) return ` Did you mean ${near.join(' or ')}?`;
  const shown = keys.slice(0, 5).join(', ');
  return ` There ${keys.length === 1 ? 'is' : 'are'} ${shown}${keys.length > 5 ? ` and ${keys.length - 5} more ('discover' lists them)` : ''}.`;
}

const nothingChosen = (streams: readonly AirbyteStream[]): string =>
  streams.length === 0
    ? 'the source has no streams: look whether the schemas, and the rights of its user, are the right ones'
    : 'no stream is left to sync: every stream is excluded. Leave out the exclusions, or name a stream';
