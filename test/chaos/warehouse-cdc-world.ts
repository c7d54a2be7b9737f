/** The world of the crash tests of change data capture, into a warehouse: merged tables, or histories of their rows. */
import type { LoadOptions } from './cdc-load.js';
import { tables } from './cdc-load.js';
import { createCdcWorldInto, type CdcServer, type CdcWorld } from './cdc-world.js';
import { mergedDamage, optionOf, type Form } from './warehouse-cdc-verify.js';
import { chaosWarehouse, type ChaosWarehouse, type WarehouseAccess, type WarehouseKind } from './warehouse-place.js';
import { trailSchema } from './warehouse-trail.js';

export interface WarehouseCdcWorld extends CdcWorld {
  readonly warehouse: ChaosWarehouse;
}

export interface WarehouseCdcOptions extends LoadOptions {
  readonly kind: WarehouseKind;
  readonly form: Form;
  /** To the warehouse, if it is PostgreSQL. */
  readonly access?: WarehouseAccess;
}

/** `server`: of the source, with `track_commit_timestamp` if the times of a history are to be checked. */
export async function createWarehouseCdcWorld(server: CdcServer, { kind, form, access, ...options }: WarehouseCdcOptions): Promise<WarehouseCdcWorld> {
  const warehouse = await chaosWarehouse(kind, access);
  const [name, value] = optionOf(form).split('=') as [string, string];
  const world = await createCdcWorldInto(
    {
      uri: `${warehouse.uri}?${optionOf(form)}`,
      destination: '@tapline/destination-warehouse',
      config: { ...warehouse.config, [name]: value },
      args: tables.flatMap((table) => ['--mode', `public.${table}=cdc/merge`]),
      damage: (expected) => mergedDamage({ at: warehouse, form }, expected),
      dispose: () => warehouse.dispose(),
    },
    server,
    options,
  );
  await world.database.query(trailSchema);
  return { ...world, warehouse };
}
