export type { Warehouse } from './warehouse.js';
