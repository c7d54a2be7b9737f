/* One file into a bucket by the client that we use, and nothing else: node s3-put.js FILE BUCKET KEY, with S3_ENDPOINT and the AWS variables. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';

const [file = '', bucket = '', key = ''] = process.argv.slice(2);
const client = new S3Client({ endpoint: process.env['S3_ENDPOINT'] ?? '', region: process.env['AWS_REGION'] ?? 'us-east-1', forcePathStyle: true });
await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: createReadStream(file), ContentLength: (await stat(file)).size }));
client.destroy();
