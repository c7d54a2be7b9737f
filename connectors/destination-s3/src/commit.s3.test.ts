import { testBucket } from '@tapline/test/shared';
import { describe } from 'vitest';
import { commitSuite } from './fixtures/commit-suite.js';

describe('the head protocol in a bucket', () => {
  commitSuite(async () => {
    const { bucket, endpoint, region, accessKey, secretKey } = await testBucket();
    return { bucket, prefix: 'raw/of the shop', endpoint, region, path_style: true, access_key_id: accessKey, secret_access_key: secretKey };
  });
});
