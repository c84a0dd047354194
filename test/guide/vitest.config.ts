import { defineConfig } from "vitest/config"

/** Runs the commands of the guide, on a machine with Debian's Postgres, nginx and Caddy. */
export default defineConfig({
  test: {
    globalSetup: ["test/support/globalSetup.ts"],
    include: ["test/guide/*.commands.ts"],
    reporters: ["verbose"],
    testTimeout: 600_000,
    hookTimeout: 60_000
  }
})
