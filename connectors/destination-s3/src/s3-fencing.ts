import { randomUUID } from 'node:crypto';
import { configError } from '@tapline/protocol';
import type { S3Connection } from './s3-client.js';
import { nameOf, statusOf } from './s3-errors.js';

const racers = 8;

/**
 * Proves on a scratch object below `folder` that of two writers at most one wins: a second creation fails, a replacement of
 * what has changed meanwhile fails, and of many at once no two succeed. Some stores ignore the conditions.
 */
export async function probeConditionalWrites({ client, s3, place }: S3Connection, folder: string): Promise<void> {
  const object = { Bucket: place.bucket, Key: `${folder}probe-${randomUUID()}` };
  const put = async (condition: { IfMatch?: string; IfNoneMatch?: string }): Promise<string | undefined> => {
    try {
      return (await client.send(new s3.PutObjectCommand({ ...object, Body: randomUUID(), ...condition }))).ETag ?? '';
    } catch (error) {
      const status = statusOf(error);
      if (status === 412 || status === 409) return undefined;
      if (status === 501 || nameOf(error) === 'NotImplemented') throw noFencing(place.endpoint ?? 'S3', 'it does not know them');
      throw error;
    }
  };
  try {
    const first = await put({ IfNoneMatch: '*' });
    if (first === undefined) throw noFencing(place.endpoint ?? 'S3', 'a new object could not be created');
    if ((await put({ IfNoneMatch: '*' })) !== undefined) throw noFencing(place.endpoint ?? 'S3', 'an object that exists was created again');
    const second = await put({ IfMatch: first });
    if (second === undefined) throw noFencing(place.endpoint ?? 'S3', 'an unchanged object could not be replaced');
    if ((await put({ IfMatch: first })) !== undefined) throw noFencing(place.endpoint ?? 'S3', 'an object that had changed was replaced');
    const winners = (await Promise.all(Array.from({ length: racers }, () => put({ IfMatch: second })))).filter((etag) => etag !== undefined);
    if (winners.length > 1) throw noFencing(place.endpoint ?? 'S3', `of ${racers} writers at once ${winners.length} succeeded`);
  } finally {
    await client.send(new s3.DeleteObjectCommand(object)).catch(() => {});
  }
}

const noFencing = (where: string, how: string) => configError(
  `the store at ${where} does not keep conditional writes (${how}), by which two writers are kept apart. Use another store or a newer version; or set fencing: none, and never run one sync twice at a time`,
  { code: 'no_fencing' },
);
