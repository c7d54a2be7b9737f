import { chown, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serverFolder, type PostgresBinaries } from './postgres-binaries.js';
import { runCommand } from './run-command.js';
import { serverUser } from './server-user.js';
import { cacheDir } from './workspace.js';

export const superuser = { user: 'postgres', password: 'secret of the tests' } as const;

/** Fills `data` (not there yet) with a fresh cluster: initdb takes seconds, a copy of what it made a tenth of one. */
export async function newCluster(binaries: PostgresBinaries, data: string): Promise<void> {
  const template = join(cacheDir, 'postgres', `${binaries.release}-1`);
  if (!(await isFolder(template))) await makeTemplate(binaries, template);
  await runCommand('cp', ['-R', template, data]);
  const user = serverUser();
  if (user) await runCommand('chown', ['-R', `${user.uid}:${user.gid}`, data]);
  await runCommand('chmod', ['700', data]);
}

async function makeTemplate(binaries: PostgresBinaries, template: string): Promise<void> {
  const folder = await serverFolder('initdb');
  const user = serverUser();
  try {
    if (user) await chown(folder, user.uid, user.gid);
    const passwordFile = join(folder, 'password');
    await writeFile(passwordFile, superuser.password);
    if (user) await chown(passwordFile, user.uid, user.gid);
    const data = join(folder, 'data');
    const args = ['-D', data, '-U', superuser.user, `--pwfile=${passwordFile}`, '--encoding=UTF8', '--locale=C', '--no-sync'];
    await runCommand(binaries.initdb, [...args, '--auth-host=scram-sha-256', '--auth-local=trust'], {
      user,
      cwd: folder,
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LANG: 'C' },
    });
    await mkdir(join(template, '..'), { recursive: true });
    // Moved there whole, so that a second process never copies half a template.
    const building = `${template}.${process.pid}`;
    await runCommand('cp', ['-R', data, building]);
    await rename(building, template).catch(() => rm(building, { recursive: true, force: true }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then((found) => found.isDirectory(), () => false);
}
