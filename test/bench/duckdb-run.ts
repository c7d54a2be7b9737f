/* The duckdb command line for machines without one: node duckdb-run.js SQL, or - and the SQL on stdin; prints the rows as JSON. */
import { readFileSync } from 'node:fs';
import { DuckDBInstance } from '@duckdb/node-api';

const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false' });
const connection = await instance.connect();
const sql = process.argv[2] ?? 'SELECT 1';
const reader = await connection.runAndReadAll(sql === '-' ? readFileSync(0, 'utf8') : sql);
console.log(JSON.stringify(reader.getRowObjectsJson()));
