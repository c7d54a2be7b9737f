/** Runs statements in a database of the demo's server, as its superuser; what the last one said. */
export async function execute(server, database, sql) {
  const client = await server.database(database).connect();
  try {
    const result = await client.query(sql);
    return Array.isArray(result) ? result.at(-1) : result;
  } finally {
    await client.end();
  }
}
