import type { DestinationDefinition, SourceDefinition } from './definition.js';

/** Declares a source: it checks the definition and gives it back, with `Config` inferred from its schema. */
export function defineSource<Config>(definition: SourceDefinition<Config>): SourceDefinition<Config> {
  requireName(definition.name, 'source-');
  if (definition.extensions?.includes('ack') && !definition.confirm) {
    throw new Error(`${definition.name} advertises the extension 'ack' and has no confirm()`);
  }
  return definition;
}

/** Declares a destination: exactly one of `open` (batches of parsed records) and `consume` (raw input). */
export function defineDestination<Config>(definition: DestinationDefinition<Config>): DestinationDefinition<Config> {
  requireName(definition.name, 'destination-');
  if ((definition.open === undefined) === (definition.consume === undefined)) {
    throw new Error(`${definition.name} must have exactly one of open() and consume()`);
  }
  if (definition.open && definition.extensions?.length) {
    throw new Error(`${definition.name} advertises extensions, which only a consume() destination can keep`);
  }
  return definition;
}

function requireName(name: string, prefix: string): void {
  if (!name.startsWith(prefix)) throw new Error(`the name '${name}' must begin with '${prefix}': it is also the name of the executable`);
}
