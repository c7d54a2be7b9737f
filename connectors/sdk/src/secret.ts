import { z } from 'zod';

/** Marks a configuration field as a secret: user interfaces hide it, the runner redacts it. `secret()` is a string. */
export function secret(): z.ZodString;
export function secret<Schema extends z.ZodType>(schema: Schema): Schema;
export function secret(schema: z.ZodType = z.string()): z.ZodType {
  return schema.meta({ ...schema.meta(), airbyte_secret: true });
}
