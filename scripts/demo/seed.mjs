// Loads what the npm package vega-datasets ships into the database demo_seed, with the types that the data have. Done once.
import { chmodSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { root } from '../setup.mjs';
import { execute } from './execute.mjs';
import { duckdb } from './question.mjs';

const seedVersion = '2';
const flightsLoaded = 1_000_000;
const flightsLater = 16_000;

export const tables = [
  { name: 'flights', rows: flightsLoaded, what: 'bigint, timestamp, integer, smallint, text; US flights from January 2001 on' },
  { name: 'zipcodes', rows: 42_049, what: 'text key, double precision; US postal codes' },
  { name: 'birdstrikes', rows: 10_000, what: 'uuid key, date, boolean, numeric, enum; birds that met aircraft' },
  { name: 'movies', rows: 3_201, what: 'bigint, date, numeric(3,1), jsonb, text[]; names, money and ratings' },
];

const schema = `
CREATE TYPE wildlife_size AS ENUM ('Small', 'Medium', 'Large');
CREATE TABLE flights (
  flight_id bigint PRIMARY KEY, departed_at timestamp NOT NULL, delay_minutes integer, distance_miles smallint,
  origin text NOT NULL, destination text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE zipcodes (
  zip_code text PRIMARY KEY, latitude double precision, longitude double precision, city text, state text, county text,
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE birdstrikes (
  strike_id uuid PRIMARY KEY, airport text, aircraft text, damaged boolean, flown_on date, phase text, size wildlife_size,
  species text, cost numeric(12,2), knots smallint, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE movies (
  movie_id integer PRIMARY KEY, title text, us_gross bigint, budget numeric(14,2), released date, rating text, imdb_rating numeric(3,1),
  imdb_votes integer, tags text[], details jsonb, updated_at timestamptz NOT NULL DEFAULT now());
`;

/** One CSV a table, by DuckDB. updated_at of a flight is when it landed late: as in a table that has lived. */
function queries(data) {
  const flights = `SELECT row_number() OVER () AS flight_id, date, delay, distance, origin, destination FROM '${data}/flights-3m.parquet' LIMIT ${flightsLoaded + flightsLater}`;
  return {
    flights: `SELECT *, strftime(date + to_minutes(greatest(delay, 0)), '%Y-%m-%d %H:%M:%S+00') FROM (${flights}) WHERE flight_id <= ${flightsLoaded}`,
    'next-day': `SELECT * FROM (${flights}) WHERE flight_id > ${flightsLoaded}`,
    zipcodes: `SELECT zip_code, latitude, longitude, city, state, county, '2001-01-01 00:00:00+00' FROM read_csv('${data}/zipcodes.csv', types = {'zip_code': 'VARCHAR'})`,
    birdstrikes: `SELECT md5(CAST(row_number() OVER () AS VARCHAR)), "Airport Name", "Aircraft Make Model", "Effect Amount of damage" <> 'None', "Flight Date",
      "Phase of flight", "Wildlife Size", "Wildlife Species", "Cost Total $", "Speed IAS in knots", '2001-01-01 00:00:00+00'
      FROM read_csv('${data}/birdstrikes.csv')`,
    movies: `SELECT row_number() OVER (), Title->>'$', "US Gross", "Production Budget", CAST(try_strptime("Release Date", '%b %d %Y') AS DATE), "MPAA Rating",
      "IMDB Rating", "IMDB Votes", '{' || array_to_string([x FOR x IN ["Major Genre", "Creative Type"] IF x IS NOT NULL].list_transform(lambda t: '"' || t || '"'), ',') || '}',
      to_json({director: "Director", distributor: "Distributor", source: "Source", minutes: "Running Time min"}), '2001-01-01 00:00:00+00'
      FROM read_json('${data}/movies.json')`,
  };
}

export async function seed(server, dir, say) {
  const [found] = (await execute(server, 'postgres', `SELECT shobj_description(oid, 'pg_database') AS version FROM pg_database WHERE datname = 'demo_seed'`)).rows;
  if (found?.version === seedVersion) return;
  say('Loading it, once');
  await execute(server, 'postgres', 'DROP DATABASE IF EXISTS demo_seed WITH (FORCE)');
  await execute(server, 'postgres', 'DROP DATABASE IF EXISTS demo WITH (FORCE)');
  await execute(server, 'postgres', 'DROP ROLE IF EXISTS demo');
  await execute(server, 'postgres', `CREATE ROLE demo LOGIN PASSWORD 'demo'`);
  await execute(server, 'postgres', 'CREATE DATABASE demo_seed OWNER demo');
  await execute(server, 'demo_seed', `ALTER SCHEMA public OWNER TO demo; SET ROLE demo; ${schema}`);

  const data = join(dirname(createRequire(join(root, 'test', 'package.json')).resolve('vega-datasets')), '..', 'data');
  const connection = await (await duckdb()).connect();
  for (const [name, sql] of Object.entries(queries(data))) {
    const file = join(dir, `${name}.csv`);
    await connection.run(`COPY (${sql}) TO '${file}' (FORMAT csv, HEADER false)`);
    chmodSync(file, 0o644);
    if (name === 'next-day') continue;
    await execute(server, 'demo_seed', `COPY ${name} FROM '${file}' CSV`);
    rmSync(file);
  }
  connection.closeSync();
  // Whoever reads by a cursor has an index on it.
  for (const { name } of tables) await execute(server, 'demo_seed', `CREATE INDEX ON ${name} (updated_at)`);
  await execute(server, 'demo_seed', 'VACUUM (FREEZE, ANALYZE)');
  await execute(server, 'postgres', `COMMENT ON DATABASE demo_seed IS '${seedVersion}'`);
}
