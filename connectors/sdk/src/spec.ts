/** From the zod schema of a configuration to the SPEC message, in the dialect that user interfaces of Airbyte understand. */
import type { JsonSchema, SpecBody } from '@tapline/protocol';
import { z } from 'zod';
import type { DestinationDefinition, SourceDefinition } from './definition.js';

const protocolVersion = '0.2.0';

export function specOf<Config>(definition: SourceDefinition<Config> | DestinationDefinition<Config>): SpecBody {
  const isSource = 'read' in definition;
  const extensions = isSource ? sourceExtensions(definition) : (definition.extensions ?? []);
  const { batchFormats } = definition;
  const tools = Object.keys(definition.tools ?? {});
  return {
    protocol_version: protocolVersion,
    ...(definition.documentationUrl && { documentationUrl: definition.documentationUrl }),
    connectionSpecification: configurationSchema(definition.config, definition.name),
    ...(!isSource && { supportsIncremental: definition.syncModes.some((mode) => mode !== 'overwrite'), supported_destination_sync_modes: [...definition.syncModes] }),
    ...((extensions.length > 0 || tools.length > 0) && {
      tapline: { version: 1, extensions: [...extensions], ...(batchFormats && { batch_formats: [...batchFormats] }), ...(tools.length > 0 && { tools }) },
    }),
  };
}

export const sourceExtensions = (definition: SourceDefinition<never> | SourceDefinition<unknown>): readonly string[] =>
  definition.extensions ?? (definition.confirm ? ['ack', 'end'] : ['end']);

/** JSON schema (draft 7) of a configuration as people write it: defaults are optional, additional properties allowed. */
export function configurationSchema(schema: z.ZodType, title: string): JsonSchema {
  const converted = z.toJSONSchema(schema, { io: 'input', target: 'draft-7', unrepresentable: 'any', reused: 'inline' });
  return { title, ...tidy(converted as JsonSchema) };
}

function tidy(schema: JsonSchema): JsonSchema {
  let { anyOf, ...rest } = schema as JsonSchema & { anyOf?: JsonSchema[] };
  const alternatives = anyOf?.filter((option) => option['type'] !== 'null');
  // A nullable field is written as the field; forms know no other null than an absent one.
  if (alternatives?.length === 1) return tidy({ ...alternatives[0], ...rest });
  if (Array.isArray(rest['type'])) {
    const types = rest['type'].filter((type) => type !== 'null');
    rest['type'] = types.length === 1 ? types[0] : types;
  }
  // Forms offer a choice of objects only as `oneOf`, told apart by a `const`.
  const choice = alternatives?.every((option) => option['type'] === 'object');
  if (alternatives) rest = { ...rest, [choice ? 'oneOf' : 'anyOf']: alternatives };
  // The type of a choice stands on the field itself, too.
  if (choice || Array.isArray(rest['oneOf'])) rest = { type: 'object', ...rest };
  // The bounds of what a double holds say nothing to people.
  if (rest['type'] === 'integer') {
    if (rest['minimum'] === Number.MIN_SAFE_INTEGER) delete rest['minimum'];
    if (rest['maximum'] === Number.MAX_SAFE_INTEGER) delete rest['maximum'];
  }
  if (rest['type'] === 'object' && typeof rest['additionalProperties'] !== 'object') rest['additionalProperties'] = true;
  for (const list of ['oneOf', 'anyOf', 'allOf'] as const) {
    const options = rest[list];
    if (Array.isArray(options)) rest[list] = options.map((option) => tidy(option as JsonSchema));
  }
  if (isSchema(rest['items'])) rest['items'] = tidy(rest['items']);
  if (isSchema(rest['additionalProperties'])) rest['additionalProperties'] = tidy(rest['additionalProperties']);
  if (isSchema(rest['properties'])) {
    rest['properties'] = Object.fromEntries(
      Object.entries(rest['properties']).map(([name, property], order) => {
        const tidied = tidy(property as JsonSchema);
        // Forms would sort the fields by name.
        return [name, 'const' in tidied ? tidied : { order, ...tidied }];
      }),
    );
  }
  return rest;
}

const isSchema = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null && !Array.isArray(value);
