/** The command line of a connector: a verb, for `tool` its name, and files. */
import type { DestinationDefinition, SourceDefinition } from './definition.js';

const flagsOf = {
  spec: { required: [], optional: [] },
  check: { required: ['config'], optional: [] },
  discover: { required: ['config'], optional: [] },
  read: { required: ['config', 'catalog'], optional: ['state', 'session'] },
  write: { required: ['config', 'catalog'], optional: ['session'] },
  tool: { required: ['config'], optional: ['args', 'catalog', 'session'] },
} as const;

export type Verb = keyof typeof flagsOf;
export type FileFlag = 'config' | 'catalog' | 'state' | 'session' | 'args';
export interface Arguments {
  readonly verb: Verb;
  /** The word behind `tool`. */
  readonly tool?: string;
  readonly files: Readonly<Partial<Record<FileFlag, string>>>;
}

/** A command line that cannot be understood. The message says why. */
export class UsageError extends Error {}

type AnyDefinition = SourceDefinition<never> | DestinationDefinition<never>;

const verbsOf = (definition: AnyDefinition): readonly Verb[] => [
  ...('read' in definition ? (['spec', 'check', 'discover', 'read'] as const) : (['spec', 'check', 'write'] as const)),
  ...(toolsOf(definition).length > 0 ? (['tool'] as const) : []),
];

const toolsOf = (definition: AnyDefinition): readonly string[] => Object.keys(definition.tools ?? {});

/** `argv` without the program: `['read', '--config', 'c.json', '--catalog=k.json']`. 'help' when help is asked for. */
export function parseArguments(definition: AnyDefinition, argv: readonly string[]): Arguments | 'help' {
  if (argv.includes('--help') || argv.includes('-h')) return 'help';
  const [word, ...words] = argv;
  if (word === undefined) throw new UsageError('a verb is missing');
  const verb = verbsOf(definition).find((known) => known === word);
  if (!verb) throw new UsageError(`'${word}' is not a verb of ${definition.name}`);

  const { tool, rest } = verb === 'tool' ? toolOf(definition, words) : { tool: undefined, rest: words };
  const allowed: readonly string[] = [...flagsOf[verb].required, ...flagsOf[verb].optional];
  const files: Partial<Record<FileFlag, string>> = {};
  for (let i = 0; i < rest.length; i++) {
    const match = /^--([a-z-]+)(?:=(.*))?$/s.exec(rest[i]!);
    if (!match) throw new UsageError(`'${rest[i]}' is not expected here`);
    const flag = match[1]!;
    if (!allowed.includes(flag)) throw new UsageError(`${verb} does not take --${flag}`);
    const value = match[2] ?? rest[++i];
    if (!value) throw new UsageError(`--${flag} needs a file`);
    if (files[flag as FileFlag] !== undefined) throw new UsageError(`--${flag} is given twice`);
    files[flag as FileFlag] = value;
  }
  for (const flag of flagsOf[verb].required) {
    if (files[flag] === undefined) throw new UsageError(`${verb} needs --${flag} FILE`);
  }
  return { verb, ...(tool !== undefined && { tool }), files };
}

function toolOf(definition: AnyDefinition, [tool, ...rest]: readonly string[]): { readonly tool: string; readonly rest: readonly string[] } {
  const known = toolsOf(definition);
  if (tool !== undefined && known.includes(tool)) return { tool, rest };
  throw new UsageError(`${tool === undefined ? 'say which tool' : `'${tool}' is not a tool of ${definition.name}`}: ${known.join(', ')}`);
}

export function usage(definition: AnyDefinition): string {
  const lines = verbsOf(definition).map((verb) => {
    const required = flagsOf[verb].required.map((flag) => ` --${flag} FILE`);
    const optional = flagsOf[verb].optional.map((flag) => ` [--${flag} FILE]`);
    const name = verb === 'tool' ? ` ${toolsOf(definition).join('|')}` : '';
    return `  ${definition.name} ${verb}${name}${required.join('')}${optional.join('')}${verb === 'write' ? ' < messages' : ''}`;
  });
  return `${definition.name} ${definition.version}, a connector: it writes one JSON message a line to standard output.\n\nusage:\n${lines.join('\n')}\n`;
}
