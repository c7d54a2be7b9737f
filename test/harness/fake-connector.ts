/** Connectors that somebody else wrote, badly: an executable file per test, in plain JavaScript. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface FakeSource {
  /** Body of an async function: what `read` does. In scope: `record(data)`, `state(value)`, `status(name)`, `line(text)`, `raw(text)`, `saved` (stream_state, or a legacy state's value, or undefined), `sleep(ms)`, `process`. */
  readonly read?: string;
  /** The same for the other verbs; default: as it should be. */
  readonly spec?: string;
  readonly check?: string;
  readonly discover?: string;
  /** Before any verb. */
  readonly always?: string;
}

/** Writes `<directory>/<name>` and gives its path. Its one stream is `items`, without a namespace: `id` and `word`. */
export async function fakeSource(directory: string, fake: FakeSource, name = 'source-fake'): Promise<string> {
  const path = join(directory, name);
  await writeFile(
    path,
    `#!${process.execPath}
const fs = require('node:fs');
const [verb, ...rest] = process.argv.slice(2);
const flag = (name) => { const at = rest.indexOf(name); return at === -1 ? undefined : rest[at + 1]; };
const raw = (text) => { const bytes = Buffer.from(text); for (let at = 0; at < bytes.length;) { try { at += fs.writeSync(1, bytes, at); } catch (error) { if (error.code !== 'EAGAIN') throw error; } } };
const line = (text) => raw(text + '\\n');
const send = (type, body) => line(JSON.stringify({ type, ...body }));
const record = (data) => send('RECORD', { record: { stream: 'items', data, emitted_at: 1760000000000 } });
const state = (value) => send('STATE', { state: { type: 'STREAM', stream: { stream_descriptor: { name: 'items' }, stream_state: value } } });
const status = (status) => send('TRACE', { trace: { type: 'STREAM_STATUS', emitted_at: 1760000000000.5, stream_status: { stream_descriptor: { name: 'items' }, status } } });
const fail = (failure_type, message) => send('TRACE', { trace: { type: 'ERROR', emitted_at: 1760000000000, error: { message, failure_type } } });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const stream = { name: 'items', json_schema: { type: 'object', properties: { id: { type: ['null', 'integer'] }, word: { type: ['null', 'string'] } } },
  supported_sync_modes: ['full_refresh', 'incremental'], source_defined_cursor: true, default_cursor_field: ['id'], source_defined_primary_key: [['id']], is_resumable: true };
const saved = (() => { const file = flag('--state'); if (!file) return undefined;
  const states = JSON.parse(fs.readFileSync(file, 'utf8')); return !Array.isArray(states) ? states : states.find((one) => one.stream?.stream_descriptor.name === 'items')?.stream?.stream_state; })();
(async () => {
  ${fake.always ?? ''}
  if (verb === 'spec') { ${fake.spec ?? `send('SPEC', { spec: { connectionSpecification: { type: 'object', properties: {} }, supportsIncremental: true } });`} }
  if (verb === 'check') { ${fake.check ?? `send('CONNECTION_STATUS', { connectionStatus: { status: 'SUCCEEDED' } });`} }
  if (verb === 'discover') { ${fake.discover ?? `send('CATALOG', { catalog: { streams: [stream] } });`} }
  if (verb === 'read') { ${fake.read ?? ''} }
})();
`,
  );
  await chmod(path, 0o755);
  return path;
}

/** What `write` does with each line of its input: in scope `text` (the line), `message` (parsed), `echo()` (sends a STATE back as it came), and what a source has. */
export interface FakeDestination {
  readonly line?: string;
  /** After the last line. */
  readonly end?: string;
  /** Before the first. */
  readonly begin?: string;
}

/** Without extensions, as Airbyte's own: append and overwrite. Default: it takes every line and sends every STATE back. */
export async function fakeDestination(directory: string, fake: FakeDestination, name = 'destination-fake'): Promise<string> {
  const path = await fakeSource(
    directory,
    {
      spec: `send('SPEC', { spec: { connectionSpecification: { type: 'object', properties: {} }, supported_destination_sync_modes: ['append', 'overwrite'] } });`,
      always: `if (verb === 'write') {
        ${fake.begin ?? ''}
        for await (const text of require('node:readline').createInterface({ input: process.stdin })) {
          const message = JSON.parse(text);
          const echo = () => line(text);
          ${fake.line ?? `if (message.type === 'STATE') echo();`}
        }
        ${fake.end ?? ''}
      }`,
    },
    name,
  );
  return path;
}
