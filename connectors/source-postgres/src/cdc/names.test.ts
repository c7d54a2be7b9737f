import { describe, expect, it } from 'vitest';
import { nameOfSync, replicationNames } from './names.js';

describe('the name of a sync on the server', () => {
  it('is one that a slot can have, and another for each sync', () => {
    const names = ['shop-to-lake', 'Shop to lake!', 'x'.repeat(200), '../é', ''].map(nameOfSync);
    for (const name of names) expect(name).toMatch(/^tapline_[a-z0-9_]{8,55}$/);
    expect(new Set(names).size).toBe(names.length);
    expect(nameOfSync('shop-to-lake')).toMatch(/^tapline_shop_to_lake_[0-9a-f]{8}$/);
  });

  it('is what the configuration says, where it says something; a publication of the user is not ours', () => {
    expect(replicationNames({}, undefined)).toEqual({ slot: 'tapline', publication: 'tapline', managed: true });
    expect(replicationNames({ slot: 'mine', publication: 'theirs' }, { sync: 's' })).toEqual({ slot: 'mine', publication: 'theirs', managed: false });
  });
});
