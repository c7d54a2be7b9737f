import { configError, defineSource, estimate, record, secret, streamState, transientError } from '@tapline/sdk';
import { z } from 'zod';

const config = z.object({
  url: z.url().default('https://dummyjson.com').describe('Base address of the API.'),
  token: secret().optional().describe('Sent as a bearer token, if given.'),
  page_size: z.int().min(1).max(1000).default(100).describe('Quotes a request.'),
});
type Config = z.infer<typeof config>;

const Page = z.object({
  quotes: z.array(z.looseObject({ id: z.int(), quote: z.string(), author: z.string() })),
  total: z.int(),
});

const quotes = { name: 'quotes' };

export const source = defineSource({
  name: 'source-quotes',
  version: '0.1.0',
  config,

  async check({ config, signal }) {
    await fetchPage(config, 0, 1, signal);
  },

  async discover() {
    const text = { type: 'string' };
    const json_schema = { type: 'object', properties: { id: { type: 'integer' }, quote: text, author: text } };
    return {
      streams: [{ ...quotes, json_schema, supported_sync_modes: ['full_refresh', 'incremental'], source_defined_cursor: true, source_defined_primary_key: [['id']] }],
    };
  },

  async *read({ config, stateOf, signal }) {
    const from = z.object({ read: z.int() }).safeParse(stateOf(quotes)).data?.read ?? 0;
    for (let read = from; ; ) {
      const page = await fetchPage(config, read, config.page_size, signal);
      if (page.quotes.length === 0) return;
      yield estimate(quotes, { rows: page.total - from });
      for (const quote of page.quotes) yield record(quotes, quote);
      read += page.quotes.length;
      yield streamState(quotes, { read });
    }
  },
});

async function fetchPage({ url, token }: Config, skip: number, limit: number, signal: AbortSignal): Promise<z.infer<typeof Page>> {
  const response = await fetch(`${url}/quotes?skip=${skip}&limit=${limit}`, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(30_000)]),
    headers: token ? { authorization: `Bearer ${token}` } : {},
  }).catch((cause: unknown) => {
    throw transientError(`${url} cannot be reached: is the address right, and the network up?`, { code: 'unreachable', cause });
  });
  if (response.status === 401 || response.status === 403) throw configError(`${url} refused the token: correct 'token'`, { code: 'refused' });
  if (response.status === 404) throw configError(`${url} has no quotes: correct 'url'`, { code: 'not_found' });
  if (!response.ok) throw transientError(`${url} answered ${response.status}`, { code: 'http_status' });
  return Page.parse(await response.json());
}
