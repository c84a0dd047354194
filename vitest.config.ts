import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import { LongestFirst } from "./test/support/sequencer.ts"

/** Tests that `npm test` leaves out: they start the service again and again, need a Chromium, or judge the package or the benchmark. */
const modes: Readonly<Record<string, ReadonlyArray<string>>> = {
  e2e: ["test/e2e/!(*.browser).test.ts"],
  browser: ["test/**/*.browser.test.ts"],
  package: ["test/Package.test.ts"],
  bench: ["test/bench/bench.test.ts"]
}

// `--mode browser`, and each other mode, runs its own tests and nothing else
export default defineConfig(({ mode }) => ({
  test: {
    include: [...(modes[mode] ?? ["test/**/*.test.ts"])],
    exclude: mode in modes ? [] : Object.values(modes).flat(),
    globalSetup: ["test/support/globalSetup.ts"],
    setupFiles: ["test/support/propertySeed.ts"],
    sequence: { sequencer: LongestFirst },
    // Tests wait for more than half of their time: it takes four workers to keep two cores busy.
    maxWorkers: 2 * availableParallelism(),
    // No test changes what belongs to its process, so files share a worker and what it has loaded.
    isolate: false,
    // Such a worker keeps much, which a collection of what is new need not look at so often.
    execArgv: ["--max-semi-space-size=64"],
    // They wait for signals and not for time: this only ends what hangs, however busy the machine is.
    testTimeout: mode === "browser" ? 180_000 : 60_000,
    hookTimeout: 60_000
  }
}))
