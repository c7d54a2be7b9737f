/**
 * `${NAME}` and `${file:path}` in tapline.yaml. They are taken out of the text before YAML sees it (inside `{ … }` a bare
 * `${X}` would be no scalar) and put back into the strings that are used: what is not used needs no variable. A secret that
 * holds YAML's own characters, or a newline, stays a string. `$${X}` is the text `${X}`.
 */
import { configError } from '@tapline/protocol';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

interface Reference {
  readonly text: string;
  readonly line: number;
  readonly literal: boolean;
}

export class Interpolation {
  /** The text for the YAML parser: each reference is a token; lines stay where they were. */
  readonly text: string;
  readonly #path: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #references: Reference[] = [];

  constructor(text: string, path: string, environment: NodeJS.ProcessEnv) {
    this.#path = path;
    this.#environment = environment;
    this.text = text.replace(/\$?\$\{([^}\n]*)\}/g, (whole, inner: string, offset: number) => {
      const literal = whole.startsWith('$$');
      this.#references.push({ text: inner.trim(), line: text.slice(0, offset).split('\n').length, literal });
      return `${begin}${this.#references.length - 1}${end}`;
    });
  }

  /** A string with its values. Throws a `config_error` that names the variable, the file and the line. */
  resolve(text: string): string {
    return text.replace(token, (_, index: string) => this.#value(this.#references[Number(index)]!));
  }

  /** The same as people wrote it, for messages. */
  original(text: string): string {
    return text.replace(token, (_, index: string) => {
      const { text: inner, literal } = this.#references[Number(index)]!;
      return `${literal ? '$' : ''}\${${inner}}`;
    });
  }

  /** Every string in a value, resolved. */
  resolveAll(value: unknown): unknown {
    if (typeof value === 'string') return this.resolve(value);
    if (Array.isArray(value)) return value.map((item) => this.resolveAll(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.resolveAll(item)]));
  }

  #value({ text, line, literal }: Reference): string {
    if (literal) return `\${${text}}`;
    const where = `${this.#path} line ${line}`;
    if (text.startsWith('file:')) {
      const file = resolve(this.#path, '..', text.slice('file:'.length));
      try {
        return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
      } catch (cause) {
        throw configError(`${where}: \${${text}} cannot be read: ${(cause as NodeJS.ErrnoException).code ?? 'unreadable'} ${file}`, { code: 'missing_file', cause });
      }
    }
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(text)) {
      throw configError(`${where}: \${${text}} is neither \${NAME} nor \${file:path}. To write it as text: $\${${text}}`, { code: 'bad_reference' });
    }
    const value = this.#environment[text];
    if (value === undefined) throw configError(`${where}: the environment variable ${text} is not set`, { code: 'missing_env' });
    return value;
  }
}

const begin = '\uE000';
const end = '\uE001';
const token = /\uE000(\d+)\uE001/g;
