import { createHash } from 'node:crypto';
import { streamKey, type ConfiguredCatalog, type ConfiguredStream } from '@tapline/protocol';
import type { StreamPlan } from './plan-streams.js';

/** The catalog file of a connector: what was configured, with generations filled in. */
export function withGenerations(streams: readonly ConfiguredStream[], plans: readonly StreamPlan[], syncId: number): ConfiguredCatalog {
  const byKey = new Map(plans.map((plan) => [plan.key, plan.generation]));
  return {
    streams: streams.map((configured) => {
      const generation = byKey.get(streamKey(configured.stream));
      return { ...configured, generation_id: generation?.id ?? 0, minimum_generation_id: generation?.minimum ?? 0, sync_id: syncId };
    }),
  };
}

/** The same for the same catalog in any order of keys: sources write them as they like. */
export function catalogHash({ streams }: ConfiguredCatalog): string {
  return createHash('sha256').update(JSON.stringify(sorted(streams))).digest('hex').slice(0, 32);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, sorted(item)]));
}
