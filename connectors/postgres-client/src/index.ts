export {
  absentValue, asNumber, canonicalValue, columnHashes, keyHash, keyValues, rangeOf, rowHash, type CanonicalColumn, type CanonicalValue,
} from './canonical-sql.js';
export { cancel, openClient, type OpenClient, type RawClient } from './client.js';
export { classify, config, connectionCodes, system, transient, type Attempt, type Known, type Purpose } from './classify.js';
export { loadDriver } from './driver.js';
export { mayComeBack, patiently } from './patience.js';
export { pinSettings, valueForms } from './settings.js';
export { identifier, literal, qualified } from './sql.js';
export { addressFields, connectFields, type Target } from './target.js';
