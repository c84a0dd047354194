import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

// `--mode browser` runs what needs a Chromium, and nothing else
export default defineConfig(({ mode }) => ({
  test: {
    include: mode === "browser" ? ["test/**/*.browser.test.ts"] : ["test/**/*.test.ts"],
    exclude: mode === "browser" ? [] : ["test/**/*.browser.test.ts"],
    globalSetup: ["test/support/globalSetup.ts"],
    setupFiles: ["test/support/propertySeed.ts"],
    // Tests wait for a third of their time: it takes three workers to keep two cores busy.
    maxWorkers: Math.ceil(1.5 * availableParallelism()),
    // No test changes what belongs to its process, so files share a worker and what it has loaded.
    isolate: false,
    // They wait for signals and not for time: this only ends what hangs, however busy the machine is.
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
}))
