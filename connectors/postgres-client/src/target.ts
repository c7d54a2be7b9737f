/** Which server is meant. Whatever is left out is taken from libpq's environment (PGHOST, PGPASSWORD, PGSSLMODE …), then from its defaults. */
import { secret } from '@tapline/sdk';
import { z } from 'zod';

const about = <Schema extends z.ZodType>(schema: Schema, description: string): Schema => schema.meta({ ...schema.meta(), description });

const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
type SslMode = (typeof sslModes)[number];

/** Fields of a connector's configuration: where the server is, and who asks. */
export const addressFields = {
  host: about(z.string().min(1), 'Host name, address, or the folder of a Unix socket. Default: PGHOST, else localhost.').optional(),
  port: about(z.int().min(1).max(65_535), 'Default: PGPORT, else 5432.').optional(),
  database: about(z.string().min(1), 'Default: PGDATABASE, else the name of the user.').optional(),
  user: about(z.string().min(1), 'Default: PGUSER, else the name of the system user.').optional(),
  password: about(secret(), 'Default: PGPASSWORD, else PGPASSFILE or ~/.pgpass.').optional(),
};

/** Fields of a connector's configuration: how it connects. */
export const connectFields = {
  sslmode: about(z.enum(sslModes), 'As in libpq. Default: PGSSLMODE, else prefer.').optional(),
  sslrootcert: about(z.string().min(1), 'The CA certificates that are trusted: a file, PEM text, or "system". Default: PGSSLROOTCERT, else ~/.postgresql/root.crt, else the system\'s.').optional(),
  sslcert: about(z.string().min(1), 'Client certificate: a file or PEM text. Default: PGSSLCERT.').optional(),
  sslkey: about(secret(z.string().min(1)), 'Key of the client certificate: a file or PEM text. Default: PGSSLKEY.').optional(),
  application_name: about(z.string().min(1), 'How sessions appear in pg_stat_activity. Default: PGAPPNAME, else tapline.').optional(),
  connect_timeout: about(z.number().positive(), 'Seconds until a connection must stand. Default: PGCONNECT_TIMEOUT, else 15.').optional(),
  start_timeout: about(z.number().min(0), 'Seconds to wait for a server that is not up, in case it is just starting again. 0: fail at once.').default(10),
};

/** What {@link targetOf} reads of a configuration. */
export type ConnectionConfig = { readonly [Field in Exclude<keyof Fields, 'start_timeout'>]?: Fields[Field] | undefined };
type Fields = z.infer<z.ZodObject<typeof addressFields & typeof connectFields>>;

/** The configuration with libpq's environment and defaults filled in. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
  readonly sslmode: SslMode;
  readonly sslrootcert: string | undefined;
  readonly sslcert: string | undefined;
  readonly sslkey: string | undefined;
  readonly applicationName: string;
  readonly connectTimeoutMs: number;
}

export function targetOf(config: ConnectionConfig, env: NodeJS.ProcessEnv = process.env, systemUser = ''): Target {
  const from = (name: string): string | undefined => env[name] || undefined;
  const user = config.user ?? from('PGUSER') ?? (systemUser || 'postgres');
  const envMode = from('PGSSLMODE');
  return {
    host: config.host ?? from('PGHOST') ?? 'localhost',
    port: config.port ?? numeric(from('PGPORT')) ?? 5432,
    database: config.database ?? from('PGDATABASE') ?? user,
    user,
    password: config.password ?? from('PGPASSWORD'),
    sslmode: config.sslmode ?? sslModes.find((mode) => mode === envMode) ?? 'prefer',
    sslrootcert: config.sslrootcert ?? from('PGSSLROOTCERT'),
    sslcert: config.sslcert ?? from('PGSSLCERT'),
    sslkey: config.sslkey ?? from('PGSSLKEY'),
    applicationName: config.application_name ?? from('PGAPPNAME') ?? 'tapline',
    connectTimeoutMs: (config.connect_timeout ?? numeric(from('PGCONNECT_TIMEOUT')) ?? 15) * 1000,
  };
}

const numeric = (text: string | undefined): number | undefined => (text !== undefined && Number(text) > 0 ? Number(text) : undefined);
