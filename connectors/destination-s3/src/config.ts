import { secret } from '@tapline/sdk';
import { z } from 'zod';

const about = <Schema extends z.ZodType>(schema: Schema, description: string): Schema => schema.meta({ ...schema.meta(), description });

const fields = z.strictObject({
  bucket: about(z.string().min(1), 'Name of the bucket.').optional(),
  prefix: about(z.string(), 'Where in the bucket, without a slash at either end. Empty: at its root.').optional(),
  path: about(z.string().min(1), 'A local folder instead of a bucket.').optional(),
  region: about(z.string().min(1), 'Region of the bucket. Default: AWS_REGION, the profile, else us-east-1.').optional(),
  endpoint: about(z.url({ protocol: /^https?$/ }), 'URL of another S3-compatible store, such as http://localhost:9000.').optional(),
  path_style: about(z.boolean(), 'endpoint/bucket instead of bucket.endpoint: most stores other than AWS need it.').optional(),
  access_key_id: about(z.string().min(1), 'Default: as every AWS tool finds it (environment, profile, role).').optional(),
  secret_access_key: about(secret(z.string().min(1)), 'Belongs to access_key_id.').optional(),
  session_token: about(secret(z.string().min(1)), 'For temporary credentials.').optional(),
  profile: about(z.string().min(1), 'Profile in ~/.aws/config and ~/.aws/credentials.').optional(),
  fencing: about(z.enum(['conditional', 'none']), 'How two writers are kept apart. none: for a store without conditional writes (a disk without hard links); then never run one sync twice at a time.').default('conditional'),
  partition: about(
    z.strictObject({
      column: about(z.string().min(1), 'A date or timestamp column. Streams without it are not partitioned.'),
      by: about(z.enum(['day', 'hour']), 'date=2026-11-20, or date=2026-11-20/hour=07.').default('day'),
    }),
    'Hive folders by the time in a column.',
  ).optional(),
  compression: about(z.enum(['zstd', 'snappy', 'gzip', 'none']), 'Of the Parquet files.').default('zstd'),
  file_mb: about(z.int().min(1).max(512), 'About how big files should be, in MB; flush_mb must let them grow so far. Default: what 64 MB of input become.').optional(),
  flush_rows: about(z.int().min(1), 'Commit after so many rows, at the next checkpoint. Default: no limit.').optional(),
  flush_mb: about(z.number().positive(), 'Commit after so many MB of input. Default: 128.').optional(),
  flush_seconds: about(z.number().positive(), 'Commit after so many seconds, at the next checkpoint; --flush wins. Default: 60.').optional(),
  staging_dir: about(z.string().min(1), 'Where files are made before they go up. Default: the scratch folder of the run, else the one of the system. For a local folder best on the same disk: files are then linked, not copied.').optional(),
  sync_name: about(z.string().min(1), 'Only for platforms other than Tapline: each connection into one folder needs its own.').default('default'),
});

/** Which of the two a configuration is about, and what belongs together, is told in words: a schema of alternatives nobody can read. */
export const config = fields.superRefine((value, context) => {
  const wrong = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
  if (value.bucket === undefined && value.path === undefined) wrong('bucket', 'say where to write: bucket (S3), or path (a local folder)');
  if (value.bucket !== undefined && value.path !== undefined) wrong('path', 'either bucket or path, not both');
  if (value.path !== undefined) {
    for (const name of ['prefix', 'region', 'endpoint', 'path_style', 'access_key_id', 'secret_access_key', 'session_token', 'profile'] as const) {
      if (value[name] !== undefined) wrong(name, 'belongs to a bucket, not to a local folder');
    }
  }
  if ((value.access_key_id === undefined) !== (value.secret_access_key === undefined)) wrong('access_key_id', 'needs secret_access_key, and the other way round');
  if (value.session_token !== undefined && value.access_key_id === undefined) wrong('session_token', 'needs access_key_id and secret_access_key');
});
export type Config = z.infer<typeof fields>;
