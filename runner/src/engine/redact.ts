/**
 * Takes the secrets of a configuration out of what a connector printed. Some print their whole configuration in a stack
 * trace, so this errs on the side of hiding: what the spec marks, and what is named like a secret.
 */
import type { SpecBody } from '@tapline/protocol';

export type Redact = (text: string) => string;

const secretName = /pass|pwd|secret|token|credential|private|api_?key|access_?key|account_?key|signature|cookie|authorization|conn(ection)?_?str|dsn/i;
const userInfo = /(:\/\/[^\s:/@"']*):[^\s@"']+@/g;
const mask = '****';

export function redactorOf(config: Readonly<Record<string, unknown>>, spec: SpecBody | undefined): Redact {
  const secrets = new Set<string>();
  collect(config, spec?.connectionSpecification, false, secrets);
  // The longest first: one secret may stand in another.
  const ordered = [...secrets].sort((a, b) => b.length - a.length);
  return (text) => {
    let redacted = text;
    for (const secret of ordered) redacted = redacted.replaceAll(secret, mask);
    return redacted.replace(userInfo, `$1:${mask}@`);
  };
}

function collect(value: unknown, schema: unknown, secret: boolean, found: Set<string>): void {
  if (typeof value === 'string' || typeof value === 'number') {
    if (secret) addForms(String(value), found);
    else if (typeof value === 'string') addUrlPassword(value, found);
  } else if (Array.isArray(value)) {
    for (const item of value) collect(item, (schema as Schema)?.items, secret, found);
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, item] of Object.entries(value)) {
      const schemas = propertySchemas(schema, name);
      const marked = schemas.some((one) => one.airbyte_secret === true);
      collect(item, schemas[0], secret || marked || secretName.test(name), found);
    }
  }
}

type Schema = { readonly [key: string]: unknown } | undefined;

/** A property's schemas, in the object itself and in its alternatives. */
function propertySchemas(schema: unknown, name: string): NonNullable<Schema>[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const { properties, oneOf, anyOf, allOf } = schema as { properties?: Record<string, Schema>; oneOf?: unknown[]; anyOf?: unknown[]; allOf?: unknown[] };
  const own = properties?.[name];
  const alternatives = [oneOf, anyOf, allOf].flatMap((list) => (Array.isArray(list) ? list : []));
  return [...(own ? [own] : []), ...alternatives.flatMap((one) => propertySchemas(one, name))];
}

/** A secret as it may be printed: plain, inside JSON, inside a URL, and each long line of a key file. */
function addForms(text: string, found: Set<string>): void {
  // Shorter ones would blank out half of every message, and hide nothing.
  if (text.length < 4) return;
  const forms = [text, JSON.stringify(text).slice(1, -1), encodeURIComponent(text), ...text.split(/\r?\n/).filter((line) => line.length >= 8)];
  for (const form of forms) found.add(form);
}

function addUrlPassword(text: string, found: Set<string>): void {
  const password = /^[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:([^\s@/]+)@/i.exec(text)?.[1];
  if (password === undefined) return;
  addForms(password, found);
  try {
    addForms(decodeURIComponent(password), found);
  } catch {
    // Not percent-encoded: the plain form is in already.
  }
}
