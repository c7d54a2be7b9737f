/** The files that connectors of one run are given: 0600 in a folder of 0700, gone at the end of the run. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { writePrivately } from '../store/durable-file.js';

export class PrivateFiles {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async in(folder: string): Promise<PrivateFiles> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new PrivateFiles(resolve(folder));
  }

  static async temporary(): Promise<PrivateFiles> {
    return new PrivateFiles(await mkdtemp(join(tmpdir(), 'tapline-')));
  }

  /** The names end in `.json`: connectors from npm `require()` them. Returns the absolute path. */
  async write(name: string, text: string): Promise<string> {
    const path = this.pathOf(name);
    await writePrivately(path, text);
    return path;
  }

  /** Where {@link write} puts it. */
  pathOf(name: string): string {
    return join(this.folder, `${name}.json`);
  }

  /** An empty folder for a connector's scratch files. */
  async scratch(name: string): Promise<string> {
    const path = join(this.folder, name);
    await rm(path, { recursive: true, force: true });
    await mkdir(path, { recursive: true, mode: 0o700 });
    return path;
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}
