/** The text of a first tapline.yaml. */

export interface StarterEnd {
  readonly connector: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Options whose value stays out of the file. */
  readonly secrets: readonly string[];
}

export interface StarterFile {
  readonly text: string;
  readonly sync: string;
  /** Environment variables that the file asks for. */
  readonly variables: readonly string[];
}

export function starterFile(source: StarterEnd | undefined, destination: StarterEnd | undefined): StarterFile {
  const from = source ?? { connector: 'postgres', config: { host: 'localhost', database: 'shop', user: 'app', password: '' }, secrets: ['password'] };
  const to = destination ?? { connector: 's3', config: { path: './lake' }, secrets: [] };
  const variables = [...from.secrets.map((name) => variableOf(from.connector, name)), ...to.secrets.map((name) => variableOf(to.connector, name))];
  const sync = `${word(from.config['database'] ?? from.connector)}-to-${word(to.config['bucket'] ?? (to.connector === 'warehouse' ? (to.config['database'] ?? 'warehouse') : 'lake'))}`;
  const text = `# What Tapline moves, and where to. 'runner sync ${sync}' runs the sync below.
# \${NAME} is an environment variable, \${file:path} the content of a file: keep secrets out of here.

connections:
  source:
    connector: ${scalar(from.connector)}
${options(from)}${from.connector === 'postgres' && !('password' in from.config) ? '    # password: ${PGPASSWORD}\n' : ''}\
${from.connector === 'postgres' && !('schemas' in from.config) ? '    # schemas: [public]            # default: all but the system\'s\n' : ''}
  destination:
    connector: ${scalar(to.config['engine'] ?? to.connector)}
${options(to)}${to.config['engine'] === 'postgres' && !('password' in to.config) ? '    # password: ${WAREHOUSE_PASSWORD}\n' : ''}\
${to.connector === 's3' && 'path' in to.config ? '    # a bucket instead of a folder:\n    # bucket: lake\n    # prefix: raw\n    # region: eu-west-1\n' : ''}
syncs:
  ${sync}:
    source: source
    destination: destination
    # Which streams, and how. Later rules win; without this part every stream is copied in full at each run.
    # streams:
    #   public.*: {}                                              # all of a schema
    #   public.audit_log: { enabled: false }                      # but not this one
    #   public.orders: { mode: incremental, cursor: updated_at }  # only new and changed rows
    #   public.customers: { columns: { exclude: [notes] } }       # without a column
`;
  return { text, sync, variables: [...new Set(variables)] };
}

function options({ connector, config, secrets }: StarterEnd): string {
  return Object.entries(config)
    // Engines of the warehouse are known by their own names.
    .filter(([name]) => name !== 'engine')
    .map(([name, value]) => `    ${name}: ${secrets.includes(name) ? `\${${variableOf(connector, name)}}` : scalar(value)}\n`)
    .join('');
}

/** The variable that the connector's own tools read, where there is one. */
function variableOf(connector: string, option: string): string {
  if (connector === 'postgres' && option === 'password') return 'PGPASSWORD';
  if (connector === 's3') return { secret_access_key: 'AWS_SECRET_ACCESS_KEY', session_token: 'AWS_SESSION_TOKEN' }[option] ?? option.toUpperCase();
  return `${connector}_${option}`.toUpperCase().replace(/[^A-Z0-9_]/g, '_');
}

/** A value as YAML. JSON is YAML, but for what the file would take as a reference. */
function scalar(value: unknown): string {
  if (typeof value === 'string' && /^[A-Za-z./][A-Za-z0-9_./-]*$/.test(value) && !/^(true|false|yes|no|on|off|null)$/i.test(value)) return value;
  return JSON.stringify(value).replaceAll('${', () => '$${');
}

const word = (value: unknown): string => String(value).split('/').at(-1)!.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^[-_]+|-+$/g, '').slice(0, 40) || 'sync';
