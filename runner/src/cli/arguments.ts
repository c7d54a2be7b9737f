/** From the words of a command line to a command. Everything it does not know is a {@link UsageError}. */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { commands, flags } from './command-table.js';

/** What was typed does not make a command: exit 78, with the way to the right help. */
export class UsageError extends Error {
  readonly command: string | undefined;
  /** What was typed, and among what it should have been: the caller adds a suggestion. */
  readonly unknown: { readonly wanted: string; readonly known: readonly string[] } | undefined;

  constructor(message: string, command?: string, unknown?: UsageError['unknown']) {
    super(message);
    this.name = 'UsageError';
    this.command = command;
    this.unknown = unknown;
  }
}

export interface Invocation {
  readonly command: string;
  readonly words: readonly string[];
  readonly flags: FlagValues;
}

/** By flag: a string, strings where it may be repeated, true for a switch. */
export class FlagValues {
  readonly #values: Readonly<Record<string, string | boolean | readonly string[]>>;

  constructor(values: Readonly<Record<string, string | boolean | readonly string[]>>) {
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  texts(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? (value as readonly string[]) : [];
  }

  on(name: string): boolean {
    return this.#values[name] === true;
  }
}

export function parseCommandLine(argv: readonly string[]): Invocation {
  const [first, ...rest] = argv;
  if (first === undefined || first === '--help' || first === '-h') return { command: 'help', words: [], flags: new FlagValues({}) };
  if (first === '--version' || first === '-v') return { command: 'version', words: [], flags: new FlagValues({}) };
  const command = Object.hasOwn(commands, first) ? commands[first] : undefined;
  if (!command) {
    const what = first.startsWith('-') ? `the command comes first, before ${first.split('=')[0]}` : `there is no command '${first}'.`;
    throw new UsageError(what, undefined, { wanted: first, known: Object.keys(commands) });
  }
  const allowed = [...command.flags, 'help'];
  const { tokens } = parse(rest);
  const words: string[] = [];
  const values: Record<string, string | boolean | string[]> = {};
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const { name, rawName, value } = token;
    const flag = allowed.includes(name) ? flags[name] : undefined;
    if (!flag) throw new UsageError(`'${first}' has no flag ${rawName}.`, first, { wanted: rawName, known: allowed.map((known) => `--${known}`) });
    if (!flag.value) {
      if (value !== undefined) throw new UsageError(`${rawName} takes no value.`, first);
      values[name] = true;
      continue;
    }
    // `--source --dest x`: the next flag is not the value that was forgotten.
    if (value === undefined || value === '' || (!token.inlineValue && /^--[a-z]/.test(value))) throw new UsageError(`${rawName} needs a value: ${rawName} ${flag.value}`, first);
    if (flag.repeatable) values[name] = [...((values[name] as string[] | undefined) ?? []), value];
    // Given twice, the last one counts: wrappers put their defaults in front.
    else values[name] = value;
  }
  if (values['help'] === true) return { command: 'help', words: [first], flags: new FlagValues({}) };
  if (words.length > command.words) throw new UsageError(`'${words[command.words]}' is one word too many.`, first);
  return { command: first, words, flags: new FlagValues(values) };
}

function parse(args: readonly string[]) {
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const [name, { value }] of Object.entries(flags)) options[name] = { type: value ? 'string' : 'boolean', multiple: true };
  return parseArgs({ args: [...args], options: { ...options, help: { type: 'boolean', short: 'h', multiple: true } }, strict: false, allowPositionals: true, tokens: true });
}
