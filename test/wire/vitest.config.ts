import { defineConfig } from "vitest/config"

/** Tests that drive a service with the libraries of stock agents, and need Go. */
export default defineConfig({
  test: {
    globalSetup: ["test/support/globalSetup.ts"],
    include: ["test/wire/*.wire.ts"],
    // names what is skipped
    reporters: ["verbose"],
    testTimeout: 600_000,
    hookTimeout: 60_000
  }
})
