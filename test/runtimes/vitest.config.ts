import { defineConfig } from "vitest/config"

/** Runs the packed package in other runtimes than Node, which it fetches from the registry. */
export default defineConfig({
  test: {
    globalSetup: ["test/support/globalSetup.ts"],
    include: ["test/runtimes/*.runtime.ts"],
    // names what is skipped
    reporters: ["verbose"],
    testTimeout: 60_000,
    hookTimeout: 120_000
  }
})
