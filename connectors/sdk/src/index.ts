export * from './definition.js';
export * from './output.js';
