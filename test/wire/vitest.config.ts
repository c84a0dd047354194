import { defineConfig } from "vitest/config"

/** What drives a service with the libraries of stock agents, and needs Go. */
export default defineConfig({
  test: {
    globalSetup: ["test/support/globalSetup.ts"],
    include: ["test/wire/*.wire.ts"],
    testTimeout: 600_000,
    hookTimeout: 60_000
  }
})
