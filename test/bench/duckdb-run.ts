/* The duckdb command line for machines without one: node duckdb-run.js SQL, prints the rows as JSON. */
import { DuckDBInstance } from '@duckdb/node-api';

const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false' });
const connection = await instance.connect();
const reader = await connection.runAndReadAll(process.argv[2] ?? 'SELECT 1');
console.log(JSON.stringify(reader.getRowObjectsJson()));
