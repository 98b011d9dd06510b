// The very last line of a test run: `N passed, N failed`, then `, N skipped` when there are any. A file that could not be
// loaded and an error outside any test count as failed, so that `0 failed` means what it says.

export default class ClosingLineReporter {
  #line = '0 passed, 0 failed';

  onInit() {
    process.once('exit', () => process.stdout.write(`${this.#line}\n`));
  }

  /**
   * @param {ReadonlyArray<import('vitest/node').TestModule>} modules
   * @param {ReadonlyArray<unknown>} unhandledErrors
   */
  onTestRunEnd(modules, unhandledErrors) {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    for (const module of modules) {
      let failedTests = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') count.passed += 1;
        else if (state === 'skipped') count.skipped += 1;
        else failedTests += 1; // failed, or pending because the run was cut short
      }
      if (failedTests === 0 && module.state() === 'failed') failedTests = 1;
      count.failed += failedTests;
    }
    this.#line = `${count.passed} passed, ${count.failed} failed`;
    if (count.skipped > 0) this.#line += `, ${count.skipped} skipped`;
  }
}
