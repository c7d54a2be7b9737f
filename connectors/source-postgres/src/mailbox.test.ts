import { describe, expect, it } from 'vitest';
import { Mailbox } from './mailbox.js';

async function all<Item>(mailbox: Mailbox<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of mailbox) items.push(item);
  return items;
}

describe('a mailbox', () => {
  it('hands over in the order of put, whoever waits for room', async () => {
    const mailbox = new Mailbox<number>(10);
    const producers = [1, 2, 3].map(async (n) => {
      for (let i = 0; i < 5; i++) await mailbox.put(n * 10 + i, 8);
    });
    void Promise.all(producers).then(() => mailbox.close());
    const items = await all(mailbox);
    expect(items).toHaveLength(15);
    for (const n of [1, 2, 3]) expect(items.filter((item) => Math.floor(item / 10) === n)).toEqual([0, 1, 2, 3, 4].map((i) => n * 10 + i));
  });

  it('lets nobody in beyond its limit until the reader has taken something', async () => {
    const mailbox = new Mailbox<string>(10);
    await mailbox.put('a', 10);
    let entered = false;
    const waiting = mailbox.put('b', 1).then(() => (entered = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(entered).toBe(false);
    const reader = mailbox[Symbol.asyncIterator]();
    expect((await reader.next()).value).toBe('a');
    expect((await reader.next()).value).toBe('b');
    await waiting;
  });

  it('gives what came before a failure, then the failure; and who puts afterwards gets it too', async () => {
    const mailbox = new Mailbox<string>(10);
    await mailbox.put('before');
    mailbox.fail(new Error('lost'));
    const reader = mailbox[Symbol.asyncIterator]();
    expect((await reader.next()).value).toBe('before');
    await expect(reader.next()).rejects.toThrow('lost');
    await expect(mailbox.put('after')).rejects.toThrow('lost');
  });

  it('turns producers away once its reader is gone', async () => {
    const mailbox = new Mailbox<string>(1);
    const waiting = mailbox.put('a', 5);
    for await (const item of mailbox) {
      expect(item).toBe('a');
      break;
    }
    await expect(waiting.then(() => mailbox.put('b'))).rejects.toThrow('nobody reads');
  });
});
