import { open, type FileHandle } from 'node:fs/promises';
import { inParallel } from '@tapline/columnar';
import { systemError } from '@tapline/protocol';
import type { S3Connection } from './s3-client.js';
import { nameOf } from './s3-errors.js';

/** A file of more bytes than this goes up in parts of this size. At 512 MB a file that is 64 parts. */
const partBytes = 8 * 1024 * 1024;
const partsInParallel = 4;
const contentType = 'application/vnd.apache.parquet';

/**
 * Uploads a file from disk. At most four parts are in memory at once, over all uploads of this process; a part is a
 * buffer, so that the SDK can send it again.
 */
export async function uploadFile(connection: S3Connection, key: string, path: string, bytes: number): Promise<void> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  if (size !== bytes) throw systemError(`the file ${path} has ${size} bytes, not ${bytes}`);
  if (bytes > partBytes) {
    await uploadParts(connection, key, file, bytes);
    return;
  }
  const { client, s3, place } = connection;
  await inSlot(async () => {
    const body = await readPart(file, 0, bytes);
    await client.send(new s3.PutObjectCommand({ Bucket: place.bucket, Key: key, Body: body, ContentLength: bytes, ContentType: contentType }));
  });
}

async function uploadParts({ client, s3, place }: S3Connection, key: string, file: FileHandle, bytes: number): Promise<void> {
  const object = { Bucket: place.bucket, Key: key };
  const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ ...object, ContentType: contentType }));
  const upload = { ...object, UploadId };
  try {
    const parts: { PartNumber: number; ETag: string | undefined }[] = [];
    const numbers = Array.from({ length: Math.ceil(bytes / partBytes) }, (_, index) => index + 1);
    await inParallel(numbers, partsInParallel, (PartNumber) => inSlot(async () => {
      const start = (PartNumber - 1) * partBytes;
      const body = await readPart(file, start, Math.min(partBytes, bytes - start));
      const { ETag } = await client.send(new s3.UploadPartCommand({ ...upload, PartNumber, Body: body, ContentLength: body.length }));
      parts[PartNumber - 1] = { PartNumber, ETag };
    }));
    await client.send(new s3.CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } })).catch(async (error: unknown) => {
      // The answer was lost, and the SDK's second request found the upload finished.
      if (nameOf(error) !== 'NoSuchUpload') throw error;
      const { ContentLength } = await client.send(new s3.HeadObjectCommand(object));
      if (ContentLength !== bytes) throw error;
    });
  } catch (error) {
    await client.send(new s3.AbortMultipartUploadCommand(upload)).catch(() => {});
    throw error;
  }
}

async function readPart(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const part = Buffer.allocUnsafe(length);
  let read = 0;
  while (read < length) {
    const { bytesRead } = await file.read(part, read, length - read, start + read);
    if (bytesRead === 0) throw systemError('a staged file became shorter while it went up');
    read += bytesRead;
  }
  return part;
}

let free = partsInParallel;
const waiting: (() => void)[] = [];

async function inSlot(work: () => Promise<void>): Promise<void> {
  if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
  else free--;
  try {
    await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free++;
  }
}
