import { describe, expect, test } from 'vitest';
import { Boundary, type BoundaryMark } from './boundary.js';
import { CopyFrames, type CopyFramesOptions, type FrameBlock } from './copy-frames.js';

const int32 = (n: number): Buffer => { const bytes = Buffer.alloc(4); bytes.writeInt32BE(n); return bytes; };
const message = (type: string, ...parts: Buffer[]): Buffer => { const body = Buffer.concat(parts); return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]); };
const header = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), int32(0), int32(0)]);
const row = (...fields: string[]): Buffer => Buffer.concat([Buffer.from([0, fields.length]), ...fields.flatMap((field) => [int32(Buffer.byteLength(field)), Buffer.from(field)])]);

function stream(rows: string[][], headerAlone: boolean): Buffer {
  const [first, ...rest] = rows.map((fields) => row(...fields));
  const data = headerAlone || !first ? [message('d', header), ...(first ? [message('d', first)] : [])] : [message('d', header, first)];
  return Buffer.concat([
    message('H', Buffer.alloc(3)), ...data, message('N', Buffer.from('a notice\0')), ...rest.map((bytes) => message('d', bytes)),
    message('d', Buffer.from([0xff, 0xff])), message('c'), message('C', Buffer.from('COPY 3\0')), message('Z', Buffer.from('T')),
  ]);
}

function run(bytes: Buffer, cut: (at: number) => number, options: { fields: number; blockBytes?: number; observe?: Boundary } & Pick<CopyFramesOptions, 'tail' | 'order'>) {
  const blocks: FrameBlock[] = [];
  const frames = new CopyFrames({ blockBytes: 4096, ...options, onBlock: (block) => blocks.push(block) });
  frames.prefix = '{"r":{"data":';
  let rest: Buffer | undefined;
  for (let at = 0; at < bytes.length && !rest; ) {
    const next = Math.min(bytes.length, at + cut(at));
    rest = frames.push(bytes.subarray(at, next));
    if (rest) rest = Buffer.concat([rest, bytes.subarray(next)]);
    at = next;
  }
  frames.cut();
  return { blocks, rest, text: Buffer.concat(blocks.map((block) => block.bytes)).toString() };
}

describe('frames of a binary COPY', () => {
  const rows = [['{"a":1}', 'k1'], ['{"b":"ü"}', ''], [`{"c":"${'x'.repeat(3000)}"}`, 'k☃'], ['{}', 'k4'], [`{"d":"${'y'.repeat(300_000)}"}`, 'big'], ['{"e":2}', 'last'], [`{"f":"${'z'.repeat(66_000)}"}`, 'end']];
  const lines = rows.map(([json]) => `{"r":{"data":${json}}}\n`).join('');

  test.each([1, 2, 3, 7, 11, 64, 1000, 65_536, 10_000_000])('cut into pieces of %i bytes they give the same lines', (size) => {
    for (const headerAlone of [true, false]) {
      const { text, rest, blocks } = run(stream(rows, headerAlone), () => size, { fields: 1 });
      expect(text).toBe(lines);
      expect(rest?.toString('latin1')).toBe('Z\0\0\0\x05T');
      expect(blocks.at(-1)?.last).toEqual(['end']);
      expect(blocks.reduce((sum, block) => sum + block.rows, 0)).toBe(rows.length);
    }
  });

  test('cut at random they give the same lines, and each block ends with its own last key', () => {
    const many = Array.from({ length: 2000 }, (_, i) => [`{"i":${i},"t":"${'t'.repeat((i * 7919) % 500)}"}`, `key${i}`]);
    let seed = 7;
    const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % 5000 + 1;
    const { blocks, text } = run(stream(many, false), random, { fields: 1, blockBytes: 1024 });
    expect(text).toBe(many.map(([json]) => `{"r":{"data":${json}}}\n`).join(''));
    for (const block of blocks) {
      const lastLine = block.bytes.toString().trimEnd().split('\n').at(-1)!;
      expect(block.last).toEqual([`key${(JSON.parse(lastLine) as { r: { data: { i: number } } }).r.data.i}`]);
    }
  });

  test.each([1, 3, 64, 1000, 65_536, 10_000_000])('cut into pieces of %i bytes, every row ends with the tail and a number of its own', (size) => {
    const tail = '"_ab_cdc_lsn":1,"_ab_cdc_deleted_at":null';
    const withTail = (json: string, more: string): string => `{"r":{"data":${json.slice(0, -1)}${json === '{}' ? '' : ','}${more}}}}\n`;
    const order = (i: number): string => `"_tapline_order":"00000000016b3748${(0xfffffdn + BigInt(i)).toString(16).padStart(16, '0')}"`;
    const both = run(stream(rows, false), () => size, { fields: 1, tail, order: { prefix: '00000000016b3748', start: 0xfffffdn } });
    expect(both.text).toBe(rows.map(([json], i) => withTail(json!, `${tail},${order(i)}`)).join(''));
    expect(both.blocks.at(-1)?.last).toEqual(['end']);
    const alone = run(stream(rows, false), () => size, { fields: 1, tail });
    expect(alone.text).toBe(rows.map(([json]) => withTail(json!, tail)).join(''));
  });

  test('an error in the middle goes to the driver with all that follows', () => {
    const error = message('E', Buffer.from('SERROR\0C57014\0\0'));
    const ready = message('Z', Buffer.from('E'));
    const bytes = Buffer.concat([message('H', Buffer.alloc(3)), message('d', header, row('{}')), error, ready]);
    for (const size of [1, 5, 20, 1000]) {
      const { rest, text } = run(bytes, () => size, { fields: 0 });
      expect(text).toBe('{"r":{"data":{}}}\n');
      expect(rest).toEqual(Buffer.concat([error, ready]));
    }
  });

  test('a mark tells the rows of the newest value as they were at the end of its block', () => {
    const many = Array.from({ length: 3000 }, (_, i) => [`{"i":${i},"t":"${'t'.repeat((i * 31) % 90)}"}`, String(Math.floor(i / 17)), `k${i}`]);
    const { blocks } = run(stream(many, false), () => 50_000, { fields: 2, blockBytes: 1024, observe: new Boundary({ value: '0', keys: ['before'] }) });
    expect(blocks.length).toBeGreaterThan(50);
    let seen = 0;
    for (const block of blocks) {
      seen += block.rows;
      const mark = block.mark as BoundaryMark;
      const group = Math.floor((seen - 1) / 17);
      expect(mark.value).toBe(String(group));
      expect(mark.keys()).toEqual([...(group === 0 ? ['before'] : []), ...Array.from({ length: seen - group * 17 }, (_, i) => `k${group * 17 + i}`)]);
    }
  });
});
