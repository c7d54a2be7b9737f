/** Where a connector of ours reads or writes, as far as it makes one sync another: the parts that its name is made of. */

type Config = Readonly<Record<string, unknown>>;

/** In the fixed order of docs/cli.md, "The name of a sync". Defaults are filled in, so that they need not be spelled out. */
export function placeOf(connector: string, config: Config, environment: NodeJS.ProcessEnv): readonly string[] {
  const text = (name: string, ...otherwise: (string | undefined)[]): string => {
    const value = config[name];
    if (typeof value === 'string' || typeof value === 'number') return String(value);
    return otherwise.find((one) => one !== undefined && one !== '') ?? '';
  };
  if (connector === 'postgres' || (connector === 'warehouse' && config['engine'] === 'postgres')) {
    const { PGHOST, PGPORT, PGDATABASE } = environment;
    return [text('host', PGHOST, 'localhost').toLowerCase(), text('port', PGPORT, '5432'), text('database', PGDATABASE)];
  }
  if (typeof config['path'] === 'string') return [config['path'].replace(/(?<=.)\/+$/, '')];
  if (connector === 's3') {
    const endpoint = text('endpoint', environment['AWS_ENDPOINT_URL_S3'], environment['AWS_ENDPOINT_URL']);
    return [endpoint.replace(/\/+$/, ''), text('bucket'), text('prefix').replace(/^\/+|\/+$/g, '')];
  }
  return [text('host'), text('port'), text('database')];
}
