import { readFileSync } from 'node:fs';

/** As whom a server runs that refuses to run as root. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** undefined: as ourselves. PostgreSQL refuses root, and wants a user that the system knows: no account is made for it. */
export function serverUser(): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const account = accounts.find((fields) => fields[0] === name);
    if (account) return { uid: Number(account[2]), gid: Number(account[3]) };
  }
  throw new Error('PostgreSQL does not run as root, and this machine has neither a user "postgres" nor "nobody": run the tests as another user, or set PG_URL');
}
