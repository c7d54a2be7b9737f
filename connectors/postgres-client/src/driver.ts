/**
 * The driver, loaded when somebody connects: a configuration's fields come from this package, too. While it loads it asks whether it is in
 * a worker of Cloudflare's. Node 20 has no `navigator` that says no; the next thing it looks at is `Response`, and Node then loads all of
 * fetch for it, which takes longer than to connect.
 */
import type pg from 'pg';

export async function loadDriver(): Promise<typeof pg> {
  const world = globalThis as { navigator?: object };
  if (world.navigator) return (await import('pg')).default;
  world.navigator = { userAgent: `Node.js/${process.versions.node}` };
  try {
    return (await import('pg')).default;
  } finally {
    delete world.navigator;
  }
}
