/** The runner as a library: plan a sync yourself, run it, look at its state. The command line is `tapline`. */
export * from './engine/index.js';
export { ConfigFile, type ResolvedConnection, type ResolvedSync } from './config/config-file.js';
export { resolveEnd, type EndRequest, type ResolvedEnd } from './connectors/resolve-end.js';
export { derivedSyncName, sync8, type EndIdentity } from './sync-name.js';
export * from './types.js';
