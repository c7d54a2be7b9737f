/**
 * A configuration that a connector renewed (CONTROL CONNECTOR_CONFIG), such as a token that is good for one use. It goes back
 * to the file it came from; one that came from a URI or tapline.yaml is kept in the sync's folder, and used in the place of
 * what the user wrote for as long as the user does not change that.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConnectorRef } from '../types.js';

type Config = Readonly<Record<string, unknown>>;

/** Synchronous: it is on disk before the next line is read, for the old token may be dead already. */
export function keepConfig(ref: ConnectorRef, directory: string | undefined, config: Config): void {
  if (ref.configFile !== undefined) replace(ref.configFile, `${JSON.stringify(config, undefined, 2)}\n`);
  else if (directory !== undefined) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    replace(pathOf(ref, directory), `${JSON.stringify({ v: 1, instead_of: hashOf(ref.config), config })}\n`);
  }
}

/** The connector with the configuration it was left with. */
export async function withKeptConfig(ref: ConnectorRef, directory: string): Promise<ConnectorRef> {
  if (ref.configFile !== undefined) return ref;
  try {
    const kept = JSON.parse(await readFile(pathOf(ref, directory), 'utf8')) as { instead_of?: string; config?: Config };
    return kept.config && kept.instead_of === hashOf(ref.config) ? { ...ref, config: kept.config } : ref;
  } catch {
    return ref;
  }
}

const pathOf = (ref: ConnectorRef, directory: string): string => join(directory, `${ref.role}-config.json`);

const hashOf = (config: Config): string => createHash('sha256').update(JSON.stringify(config)).digest('hex');

function replace(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, text, { mode: 0o600, flush: true });
  renameSync(temporary, path);
}
