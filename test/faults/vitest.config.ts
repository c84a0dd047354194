import { configDefaults, defineConfig } from "vitest/config"

const suite = (name: string, order: number, workers: number, minutes: number) => ({
  test: {
    name,
    include: [`test/faults/*.${name}.ts`],
    exclude: configDefaults.exclude,
    maxWorkers: workers,
    isolate: false,
    sequence: { groupOrder: order },
    testTimeout: minutes * 60_000,
    hookTimeout: 60_000
  }
})

/**
 * The scenarios that mostly wait run side by side; those that use the whole machine run alone, afterwards. `--mode long`
 * runs the scenarios that are too long or too hard on a machine for every commit, `--mode soak` the soak.
 */
export default defineConfig(({ mode }) => ({
  test: {
    globalSetup: ["test/support/globalSetup.ts"],
    reporters: ["default", "./test/faults/tableReporter.ts"],
    projects:
      mode === "soak"
        ? [suite("soak", 0, 1, Number(process.env["SOAK_MINUTES"] ?? 30) + 10)]
        : mode === "long"
          ? [suite("long", 0, 1, 5)]
          : [suite("fault", 0, 4, 5), suite("load", 1, 1, 4)]
  }
}))
