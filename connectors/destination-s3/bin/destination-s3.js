#!/usr/bin/env node
import { entryOf } from '@tapline/protocol/executable';

await import(entryOf(import.meta.url));
