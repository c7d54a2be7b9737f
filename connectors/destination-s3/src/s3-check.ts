import { randomUUID } from 'node:crypto';
import type { S3Connection } from './s3-client.js';
import { s3Error } from './s3-errors.js';
import type { S3Store } from './s3-store.js';

/** Every right that a sync needs, tried on scratch objects that are gone afterwards; and that two writers are kept apart. */
export async function checkS3({ client, s3, place }: S3Connection, store: S3Store, prefix: string): Promise<void> {
  try {
    await client.send(new s3.ListObjectsV2Command({ Bucket: place.bucket, Prefix: prefix === '' ? '' : `${prefix}/`, MaxKeys: 1 }));
  } catch (error) {
    throw s3Error(error, place, 's3:ListBucket');
  }
  const staged = `_tapline/probe-${randomUUID()}`;
  const published = `${staged}-published`;
  try {
    await store.putText(staged, 'probe');
    await store.getText(staged);
    const moved = await store.move(staged, published);
    if (moved !== 'absent') await moved.done;
    await store.delete(published);
  } catch (error) {
    for (const name of [staged, published]) await store.delete(name).catch(() => {});
    throw error;
  }
  await store.probeFencing();
}
