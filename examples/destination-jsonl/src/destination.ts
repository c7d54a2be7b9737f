import { mkdir, open, rename, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { configError, defineDestination, type ConfiguredStream } from '@tapline/sdk';
import { z } from 'zod';

interface Output {
  readonly path: string;
  readonly file: FileHandle;
  /** Up to here it is on disk, and a state has gone back for it. */
  durable: number;
  written: number;
}

export const destination = defineDestination({
  name: 'destination-jsonl',
  version: '0.1.0',
  config: z.object({ folder: z.string().min(1).describe('Where the files go: <namespace>/<stream>.jsonl') }),
  syncModes: ['append', 'overwrite'],

  async check({ config }) {
    await mkdir(config.folder, { recursive: true }).catch((cause: unknown) => {
      throw configError(`${config.folder} cannot be made: choose another 'folder'`, { code: 'folder', cause });
    });
  },

  async open({ config, catalog }) {
    const outputs = new Map<ConfiguredStream, Output>();
    for (const configured of catalog.streams) outputs.set(configured, await openOutput(config.folder, configured));
    return {
      async write(batch) {
        for (const configured of new Set(batch.map(({ stream }) => stream))) {
          const output = outputs.get(configured)!;
          const lines = batch.filter(({ stream }) => stream === configured).map(({ data }) => `${JSON.stringify(data)}\n`);
          const { bytesWritten } = await output.file.write(lines.join(''), output.written);
          output.written += bytesWritten;
        }
      },
      async flush() {
        for (const output of outputs.values()) {
          if (output.written > output.durable) await output.file.datasync();
          output.durable = output.written;
        }
      },
      async complete(configured) {
        const { path } = outputs.get(configured)!;
        if (configured.destination_sync_mode === 'overwrite') await rename(path, finalPath(config.folder, configured));
      },
      async [Symbol.asyncDispose]() {
        for (const { file, durable } of outputs.values()) {
          await file.truncate(durable);
          await file.close();
        }
      },
    };
  },
});

const finalPath = (folder: string, { stream }: ConfiguredStream): string =>
  join(folder, ...[stream.namespace, `${stream.name}.jsonl`].flatMap((part) => (part ? [encodeURIComponent(part)] : [])));

/** An overwrite grows beside the old file. If it was interrupted, its generation is the same the next time, and it goes on. */
async function openOutput(folder: string, configured: ConfiguredStream): Promise<Output> {
  const isAppend = configured.destination_sync_mode === 'append';
  const path = finalPath(folder, configured) + (isAppend ? '' : `.generation-${configured.generation_id ?? 'next'}`);
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, isAppend || configured.generation_id ? 'a+' : 'w+').then((made) => made.close()).then(() => open(path, 'r+'));
  const { size } = await file.stat();
  return { path, file, durable: size, written: size };
}
