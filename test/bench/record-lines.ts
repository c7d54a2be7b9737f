import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connector } from './tapline.js';
import { shell } from './hand.js';

export interface RecordLines {
  /** All that the source says: RECORD, STATE and TRACE. */
  readonly lines: string;
  /** A configured catalog: full refresh, overwrite. */
  readonly catalog: string;
}

/** What our source says of a database, in files: the input of whoever is to be measured without it. */
export async function writeRecordLines(url: string, dir: string): Promise<RecordLines> {
  const { hostname, port, username, password, pathname } = new URL(url);
  const [config, catalog, lines] = ['source.json', 'catalog.json', 'lines'].map((name) => join(dir, name)) as [string, string, string];
  await writeFile(config, JSON.stringify({ host: hostname, port: Number(port), user: decodeURIComponent(username), password: decodeURIComponent(password), database: pathname.slice(1) }));
  const source = `'${process.execPath}' '${connector('source-postgres')}'`;
  const { stdout } = await shell(`${source} discover --config '${config}'`);
  const message = stdout.split('\n').find((line) => line.startsWith('{"type":"CATALOG"')) ?? '{}';
  const { streams } = (JSON.parse(message) as { catalog: { streams: object[] } }).catalog;
  await writeFile(catalog, JSON.stringify({ streams: streams.map((stream) => ({ stream, sync_mode: 'full_refresh', destination_sync_mode: 'overwrite' })) }));
  await shell(`${source} read --config '${config}' --catalog '${catalog}' > '${lines}'`);
  return { lines, catalog };
}
