/** URIs of our own connectors, and what they say in terms of the connector's configuration. */
import { configError } from '@tapline/protocol';
import { resolve } from 'node:path';
import { didYouMean } from '@tapline/catalog';
import type { Role } from './executables.js';

export interface ConnectorUri {
  readonly connector: string;
  /** What the URI's own parts say. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Query options, still text. */
  readonly options: readonly (readonly [name: string, value: string])[];
}

/** `duckdb:` may stand before a relative path, too. */
const schemePattern = /^(duckdb(?=:)|[A-Za-z][A-Za-z0-9+.-]*(?=:\/\/)):/i;
export const schemeOf = (text: string): string | undefined => schemePattern.exec(text)?.[1]?.toLowerCase();

/** Throws a `config_error`, which never repeats the URI: it may hold a password. A `path` may be relative, to whatever the caller says. */
export function parseConnectorUri(role: Role, text: string): ConnectorUri {
  const scheme = schemeOf(text)!;
  switch (`${role} ${scheme}`) {
    case 'source postgres':
    case 'source postgresql':
      return { connector: 'postgres', ...postgres(text) };
    case 'destination s3':
      return s3(text);
    case 'destination file':
      return folder(text);
    case 'destination duckdb':
      return duckdb(text);
    case 'destination postgres':
    case 'destination postgresql': {
      const { config, options } = postgres(text);
      return { connector: 'warehouse', config: { engine: 'postgres', ...config }, options };
    }
    case 'source docker':
    case 'destination docker':
      throw configError('docker:// connectors are not yet supported. Give the executable itself, as in exec:/path/to/connector', { code: 'not_yet' });
    case 'source singer':
    case 'destination singer':
      throw configError('singer:// connectors are not yet supported; only programs that speak the Airbyte protocol are', { code: 'not_yet' });
  }
  const known = role === 'source' ? ['postgres'] : ['duckdb', 'postgres', 's3', 'file'];
  throw configError(`${scheme}:// is no ${role}.${didYouMean(scheme, known)} There are ${known.map((one) => `${one}://`).join(', ')}, and executables by their path.`, {
    code: 'unknown_connector',
  });
}

function postgres(text: string): Omit<ConnectorUri, 'connector'> {
  const url = parseUrl(text, "postgres://user@host:5432/database. Characters such as # / ? % in a password must be percent-encoded; or set PGPASSWORD");
  const path = decode(url.pathname.replace(/^\//, ''));
  if (path.includes('/')) throw configError('the path of a postgres:// URI is one database, as in postgres://user@host/database', { code: 'bad_uri' });
  const host = decode(url.hostname).replace(/^\[(.*)\]$/, '$1');
  return {
    config: {
      ...(host !== '' && { host }),
      ...(url.port !== '' && { port: Number(url.port) }),
      ...(path !== '' && { database: path }),
      ...(url.username !== '' && { user: decode(url.username) }),
      ...(url.password !== '' && { password: decode(url.password) }),
    },
    options: [...url.searchParams],
  };
}

function s3(text: string): ConnectorUri {
  const url = parseUrl(text, 's3://bucket/prefix?region=eu-west-1');
  if (url.hostname === '') throw configError('an s3:// URI begins with a bucket: s3://bucket/prefix', { code: 'bad_uri' });
  if (url.username !== '' || url.port !== '') {
    throw configError('an s3:// URI is s3://bucket/prefix: credentials come from the AWS variables or a profile, another store is ?endpoint=https://…', { code: 'bad_uri' });
  }
  const prefix = url.pathname.split('/').filter((segment) => segment !== '').map(decode).join('/');
  return { connector: 's3', config: { bucket: decode(url.hostname), ...(prefix !== '' && { prefix }) }, options: [...url.searchParams] };
}

function duckdb(text: string): ConnectorUri {
  const form = 'duckdb:///absolute/file.db, or duckdb:file.db for one in the working directory';
  const url = parseUrl(text, form);
  const path = decode(url.pathname);
  if (url.host !== '') throw configError(`behind duckdb:// stands an absolute path, with a third slash. A duckdb URI is ${form}`, { code: 'bad_uri' });
  if (path === '' || path.endsWith('/')) throw configError(`a duckdb URI names a file: ${form}`, { code: 'bad_uri' });
  if (path === ':memory:') throw configError('a DuckDB in memory is gone with its process: name a file, as in duckdb:file.db', { code: 'bad_uri' });
  return { connector: 'warehouse', config: { engine: 'duckdb', path }, options: [...url.searchParams] };
}

function folder(text: string): ConnectorUri {
  const url = parseUrl(text, 'file:///absolute/folder');
  if (url.hostname !== '') throw configError('a file:// URI has three slashes: file:///absolute/folder', { code: 'bad_uri' });
  return { ...folderAt(decode(url.pathname)), options: [...url.searchParams] };
}

/** A local folder as a destination. */
export const folderAt = (path: string): ConnectorUri => ({ connector: 's3', config: { path: resolve(path) }, options: [] });

function parseUrl(text: string, form: string): URL {
  try {
    const url = new URL(text);
    // A '#' cuts off what follows, mostly the rest of a password.
    if (url.hash === '') return url;
  } catch {
    // Its message would repeat the URI.
  }
  throw configError(`a ${schemeOf(text)}:// URI does not read. It is ${form}`, { code: 'bad_uri' });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
