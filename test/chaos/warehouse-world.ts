/** The world of the spine's crash tests, into a warehouse: `events` with every version (append), `latest` merged by its key, `keyed` and `heap` replaced whole. */
import type { TestDatabase } from '../services/postgres.js';
import { createWorldInto, type World } from './world.js';
import { chaosWarehouse, type ChaosWarehouse, type WarehouseAccess, type WarehouseKind } from './warehouse-place.js';
import { damage, duplicates } from './warehouse-verify.js';

export interface WarehouseWorld extends World {
  readonly warehouse: ChaosWarehouse;
}

export interface WarehouseWorldOptions {
  readonly kind: WarehouseKind;
  /** To the warehouse, if it is PostgreSQL. */
  readonly access?: WarehouseAccess;
  /** For the source. */
  readonly database?: TestDatabase;
  readonly rows?: number;
  readonly source?: Readonly<Record<string, string>>;
}

/** `latest` goes through what `events` goes through, statement by statement. */
const seed = `
  CREATE TABLE latest (LIKE events INCLUDING ALL);
  INSERT INTO latest SELECT * FROM events;
  CREATE FUNCTION mirror() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO latest VALUES (NEW.id, NEW.batch, NEW.version, NEW.body)
      ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, version = excluded.version, body = excluded.body;
    RETURN NULL;
  END $$;
  CREATE TRIGGER mirrored AFTER INSERT OR UPDATE ON events FOR EACH ROW EXECUTE FUNCTION mirror();`;

export async function createWarehouseWorld({ kind, access, ...options }: WarehouseWorldOptions): Promise<WarehouseWorld> {
  const warehouse = await chaosWarehouse(kind, access);
  const world = await createWorldInto(
    {
      uri: warehouse.uri,
      env: {},
      args: ['--mode', 'public.events=incremental:batch/append', '--mode', 'public.latest=incremental:batch/append_dedup'],
      seed,
      damage: (database) => damage(database, warehouse),
      duplicates: () => duplicates(warehouse),
      leftovers: () => warehouse.leftovers(),
      dispose: () => warehouse.dispose(),
    },
    options,
  );
  return { ...world, warehouse };
}
