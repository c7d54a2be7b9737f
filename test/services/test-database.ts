import { randomBytes } from 'node:crypto';
import pg from 'pg';

/** Where a server listens, and as whom to come. */
export interface PostgresAccess {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

export interface TestDatabase extends PostgresAccess {
  readonly name: string;
  readonly url: string;
  /** Runs statements on a connection of its own; the last one's rows. */
  query<Row extends pg.QueryResultRow = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** A connection that the caller ends. */
  connect(): Promise<pg.Client>;
  drop(): Promise<void>;
}

/** Needs only an address: works for a server that the environment names, too. */
export async function createDatabase(server: PostgresAccess, name = `t_${randomBytes(6).toString('hex')}`): Promise<TestDatabase> {
  await databaseAt(server, 'postgres').query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`);
  return databaseAt(server, name);
}

export function databaseAt({ host, port, user, password }: PostgresAccess, name: string): TestDatabase {
  const access = { host, port, user, password };
  const url = postgresUrl(access, name);
  return {
    ...access,
    name,
    url,
    query: (sql, values) => withClient(url, async (client) => lastRows(await client.query(sql, values))),
    connect: () => connected(url),
    drop: () =>
      withClient(postgresUrl(access, 'postgres'), async (client) => {
        await client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
      }),
  };
}

export function postgresUrl({ host, port, user, password }: PostgresAccess, name: string): string {
  return `postgres://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${port}/${encodeURIComponent(name)}`;
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connected(url);
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  // A server that is killed under an idle connection must not end the test's process.
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Several statements in one text give several results. */
function lastRows<Row extends pg.QueryResultRow>(result: pg.QueryResult<Row> | pg.QueryResult<Row>[]): Row[] {
  return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? [];
}
