/** What a user configures of a warehouse that is PostgreSQL. */
import { addressFields, connectFields } from '@tapline/postgres-client';
import { z } from 'zod';

const about = <Schema extends z.ZodType>(schema: Schema, description: string): Schema => schema.meta({ ...schema.meta(), description });
const seconds = z.number().min(0);

/** None has a default of its own: what is there was meant. */
export const postgresFields = {
  ...addressFields,
  ...connectFields,
  application_name: about(z.string().min(1), 'How sessions appear in pg_stat_activity, with 8 hex digits of the sync. Default: PGAPPNAME, else tapline.').optional(),
  start_timeout: about(seconds, 'Seconds to wait for a server that is not up, in case it is just starting again. 0: fail at once. Default: 10.').optional(),
  lock_timeout: about(seconds, 'Seconds to wait for a lock on a table. 0: no limit. Default: 60.').optional(),
  statement_timeout: about(seconds, 'Seconds that one statement may take; loading a table is one. 0: no limit. Default: 0.').optional(),
};

export type PostgresConfig = z.infer<z.ZodObject<typeof postgresFields>>;
