import type { TestDatabase } from '../services/index.js';

/** How a backlog of `changes` is cut into transactions: about a third of the changes each in transactions of 1, of 100 and of 10,000. */
export interface BacklogShape {
  readonly changes: number;
  readonly tenThousands: number;
  readonly hundreds: number;
  readonly singles: number;
}

export function backlogShape(changes: number): BacklogShape {
  if (changes < 10_000) throw new Error('a backlog has 10,000 changes at least: one large transaction');
  const tenThousands = Math.max(1, Math.round(changes / 30_000));
  const rest = changes - tenThousands * 10_000;
  const hundreds = Math.floor(rest / 200);
  return { changes, tenThousands, hundreds, singles: rest - hundreds * 100 };
}

/** The nine columns of the other benches, empty. */
export async function createEvents(database: TestDatabase): Promise<void> {
  await database.query(`
    CREATE TABLE events (
      id bigint PRIMARY KEY, customer_id integer NOT NULL, amount numeric(12,2), status text NOT NULL, note text,
      created_at timestamptz NOT NULL, attributes jsonb, paid boolean NOT NULL, score double precision);

    CREATE FUNCTION event_row(i bigint) RETURNS events LANGUAGE sql IMMUTABLE AS $$
      SELECT i, (i * 7919 % 100000)::int, (i * 31 % 10000000) / 100.0,
        (ARRAY['new', 'paid', 'shipped', 'returned'])[1 + i % 4],
        CASE WHEN i % 11 <> 0 THEN 'order ' || i || ' of ' || md5(i::text) || ', left at the door' || CASE WHEN i % 5 = 0 THEN E', "quoted"\\n' ELSE '' END END,
        timestamptz '2025-01-01' + i * interval '1.234567 seconds',
        CASE WHEN i % 11 <> 1 THEN jsonb_build_object('sku', md5((i * 3)::text), 'count', i % 9, 'tags', jsonb_build_array('a', i % 100)) END,
        i % 3 = 0, CASE WHEN i % 11 <> 2 THEN sin(i) * 1000 END $$;

    -- The rows that live are those from low to high. Of ten changes five insert, three update and two delete.
    CREATE TABLE alive (low bigint, high bigint, step bigint);
    INSERT INTO alive VALUES (1, 1, 0);

    CREATE PROCEDURE change_many(changes int, INOUT low bigint, INOUT high bigint) LANGUAGE plpgsql AS $$
    DECLARE
      updates int := changes * 3 / 10;
      deletes int := changes * 2 / 10;
      inserts int := changes - updates - deletes;
      middle bigint;
    BEGIN
      INSERT INTO events SELECT e.* FROM generate_series(high, high + inserts - 1) AS i, LATERAL event_row(i) AS e;
      high := high + inserts;
      middle := low + (high - low - updates) / 2;
      UPDATE events SET amount = amount + 1, status = 'paid', note = note || '.', created_at = created_at + interval '1 hour', score = -score
        WHERE id >= middle AND id < middle + updates;
      DELETE FROM events WHERE id >= low AND id < low + deletes;
      low := low + deletes;
    END $$;

    CREATE PROCEDURE change_one(step bigint, INOUT low bigint, INOUT high bigint) LANGUAGE plpgsql AS $$
    BEGIN
      CASE WHEN step % 2 = 0 THEN
        INSERT INTO events SELECT e.* FROM event_row(high) AS e;
        high := high + 1;
      WHEN step % 10 IN (3, 7) THEN
        DELETE FROM events WHERE id = low;
        low := low + 1;
      ELSE
        UPDATE events SET amount = amount + 1, status = 'paid', note = note || '.', created_at = created_at + interval '1 hour', score = -score
          WHERE id = (low + high) / 2;
      END CASE;
    END $$;

    CREATE PROCEDURE backlog(ten_thousands int, hundreds int, singles int) LANGUAGE plpgsql AS $$
    DECLARE
      a alive%ROWTYPE;
    BEGIN
      SELECT * INTO a FROM alive;
      FOR round IN 1..ten_thousands LOOP
        CALL change_many(10000, a.low, a.high);
        COMMIT;
        FOR i IN hundreds::bigint * (round - 1) / ten_thousands + 1 .. hundreds::bigint * round / ten_thousands LOOP
          CALL change_many(100, a.low, a.high);
          COMMIT;
        END LOOP;
        FOR i IN singles::bigint * (round - 1) / ten_thousands + 1 .. singles::bigint * round / ten_thousands LOOP
          CALL change_one(a.step, a.low, a.high);
          a.step := a.step + 1;
          COMMIT;
        END LOOP;
      END LOOP;
      UPDATE alive SET low = a.low, high = a.high, step = a.step;
    END $$;`);
}

export async function runBacklog(database: TestDatabase, shape: BacklogShape): Promise<void> {
  const client = await database.connect();
  try {
    await client.query('SET synchronous_commit = off');
    await client.query(`CALL backlog(${shape.tenThousands}, ${shape.hundreds}, ${shape.singles})`);
  } finally {
    await client.end();
  }
}

/** The rows as they are now, from the rows of changes that lie in a lake. */
export const foldedEvents = (files: string): string =>
  `(SELECT * FROM read_parquet('${files}', union_by_name = true) QUALIFY row_number() OVER (PARTITION BY id ORDER BY _tapline_order DESC) = 1) WHERE _ab_cdc_deleted_at IS NULL`;
