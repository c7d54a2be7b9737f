/** What of our environment a connector sees: an allow-list, never all of it. */

const ours: Readonly<Record<string, readonly string[]>> = {
  'source-postgres': ['PG*', 'HOME'],
  'destination-s3': ['AWS_*', 'HOME'],
  'destination-warehouse': ['PG*', 'HOME'],
};
const foreign = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'];

/** `executable`: the name of one of ours, or undefined for other people's. `named`: `env: [NAME]` of the connection. */
export function environmentOf(executable: string | undefined, named: readonly string[], environment: NodeJS.ProcessEnv): Record<string, string> {
  const allowed = [...(executable === undefined ? foreign : (ours[executable] ?? ['HOME'])), ...named];
  const isAllowed = (name: string): boolean => allowed.some((one) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : name === one));
  return Object.fromEntries(Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined && isAllowed(entry[0])));
}
