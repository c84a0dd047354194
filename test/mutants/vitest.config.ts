import { defineConfig } from "vitest/config"

const tests = (process.env["MUTANT_TESTS"] ?? "test").split(",")

// the tests of one room, without the fuzz tests, and without what reads the built package
export default defineConfig({
  root: process.cwd(),
  test: {
    include: tests.map((path) => (path.endsWith(".ts") ? path : `${path}/**/*.test.ts`)),
    exclude: ["test/**/*.browser.test.ts", "test/**/*.fuzz*.test.ts", "test/batcher/Browser.test.ts"],
    globalSetup: ["test/support/globalSetup.ts"],
    setupFiles: ["test/mutants/setup.ts", "test/support/propertySeed.ts"],
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
})
