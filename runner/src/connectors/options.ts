/** Options given as text (a URI's query, an environment variable) in the types that the connector's spec declares. */
import { didYouMean } from '@tapline/catalog';
import { configError, type JsonSchema, type SpecBody } from '@tapline/protocol';

/** The configuration that query options make. An unknown one is a `config_error` with the nearest name. */
export function optionsOfQuery(query: readonly (readonly [string, string])[], connector: string, spec: SpecBody | undefined): Record<string, unknown> {
  const properties = propertiesOf(spec);
  const config: Record<string, unknown> = {};
  for (const [written, text] of query) {
    const name = properties ? Object.keys(properties).find((property) => plain(property) === plain(written)) : written;
    if (name === undefined || properties?.[name]?.['airbyte_hidden'] === true) {
      const known = Object.keys(properties!);
      throw configError(`${connector} has no option '${written}'.${didYouMean(written, known) || ` It has ${known.join(', ')}.`}`, { code: 'unknown_option' });
    }
    const value = typed(text, properties?.[name], `${connector}: option '${written}'`);
    const before = config[name];
    config[name] = Array.isArray(before) && Array.isArray(value) ? [...(before as unknown[]), ...(value as unknown[])] : value;
  }
  return config;
}

/** Strings where the spec wants a number or a boolean come from `${ENV}`: they are converted. Other values stay. */
export function withTypes(config: Readonly<Record<string, unknown>>, connector: string, spec: SpecBody | undefined): Record<string, unknown> {
  const properties = propertiesOf(spec) ?? {};
  return Object.fromEntries(
    Object.entries(config).map(([name, value]) => {
      const schema = Object.hasOwn(properties, name) ? properties[name] : undefined;
      const convertible = typeof value === 'string' && ['integer', 'number', 'boolean'].includes(schema?.['type'] as string);
      return [name, convertible ? typed(value, schema, `${connector}: '${name}'`) : value];
    }),
  );
}

/** The first key that the spec does not know, with what was meant; undefined if all are known, or the spec is open. */
export function unknownOption(config: Readonly<Record<string, unknown>>, spec: SpecBody | undefined): { readonly name: string; readonly hint: string } | undefined {
  const properties = propertiesOf(spec);
  if (!properties) return undefined;
  const known = Object.keys(properties);
  const name = Object.keys(config).find((key) => !known.includes(key));
  return name === undefined ? undefined : { name, hint: didYouMean(name, known) || ` It has ${known.join(', ')}.` };
}

function typed(text: string, schema: JsonSchema | undefined, what: string): unknown {
  switch (schema?.['type']) {
    case 'integer':
    case 'number':
      if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
      throw configError(`${what} is a number`, { code: 'bad_option' });
    case 'boolean':
      if (/^(true|1|yes)$/i.test(text)) return true;
      if (/^(false|0|no)$/i.test(text)) return false;
      throw configError(`${what} is true or false`, { code: 'bad_option' });
    case 'array':
      return text.split(',').map((item) => item.trim()).filter((item) => item !== '');
    case 'object':
      throw configError(`${what} has parts of its own: give it in tapline.yaml, or in a JSON file`, { code: 'bad_option' });
    default:
      return text;
  }
}

function propertiesOf(spec: SpecBody | undefined): Readonly<Record<string, JsonSchema>> | undefined {
  return spec?.connectionSpecification['properties'] as Readonly<Record<string, JsonSchema>> | undefined;
}

/** `sslmode`, `ssl_mode` and `sslMode` are one option. */
const plain = (name: string): string => name.replaceAll(/[_-]/g, '').toLowerCase();
