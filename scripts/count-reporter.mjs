// A reporter of vitest that writes down how many tests passed, failed and were skipped, for scripts/test.mjs.
import { writeFileSync } from 'node:fs';

export default class CountReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    for (const module of modules) {
      // A file that does not load, or a hook that throws outside any test, has no failed test to count.
      count.failed += module.errors().length;
      for (const suite of module.children.allSuites()) count.failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        count[state === 'passed' || state === 'failed' ? state : 'skipped']++;
      }
    }
    writeFileSync(process.env.TAPLINE_COUNT_FILE, JSON.stringify(count));
  }
}
