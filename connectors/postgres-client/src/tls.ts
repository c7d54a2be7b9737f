/** sslmode as libpq means it. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { configError } from '@tapline/protocol';
import type { Target } from './target.js';

/** In which order connections are tried. `if_offered`: TLS unless the server has none. */
export type TlsAttempt = 'plain' | 'if_offered' | 'tls';

export function attemptsOf({ sslmode, host }: Target): readonly TlsAttempt[] {
  // Over a Unix socket there is no TLS, whatever the mode says.
  if (host.startsWith('/')) return ['plain'];
  switch (sslmode) {
    case 'disable': return ['plain'];
    case 'allow': return ['plain', 'tls'];
    case 'prefer': return ['if_offered', 'plain'];
    default: return ['tls'];
  }
}

export function tlsOptions(target: Target, home = homedir()): ConnectionOptions {
  const { sslmode, sslrootcert, sslcert, sslkey } = target;
  const ca = sslrootcert === 'system' ? undefined : sslrootcert !== undefined ? pem(sslrootcert, 'sslrootcert') : defaultRoots(home);
  // As libpq: require with a CA at hand verifies it.
  const verify = sslmode === 'verify-ca' || sslmode === 'verify-full' || (sslmode === 'require' && sslrootcert !== undefined);
  return {
    rejectUnauthorized: verify,
    ...(verify && ca !== undefined && { ca }),
    ...(sslmode !== 'verify-full' && { checkServerIdentity: () => undefined }),
    ...(sslcert !== undefined && { cert: pem(sslcert, 'sslcert') }),
    ...(sslkey !== undefined && { key: pem(sslkey, 'sslkey') }),
  };
}

function defaultRoots(home: string): string | undefined {
  const path = join(home, '.postgresql', 'root.crt');
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function pem(pathOrText: string, option: string): string {
  if (pathOrText.startsWith('-----BEGIN')) return pathOrText;
  try {
    return readFileSync(pathOrText, 'utf8');
  } catch (cause) {
    throw configError(`the file of ${option} cannot be read: give a readable path, or the PEM text itself`, { code: 'pg_tls_file', cause });
  }
}
