import { configDefaults, defineConfig } from "vitest/config"

const suite = (name: string, order: number, workers: number) => ({
  test: {
    name,
    include: [`test/faults/*.${name}.ts`],
    exclude: configDefaults.exclude,
    // those that mostly wait run side by side; those that use the machine up run alone, afterwards
    maxWorkers: workers,
    isolate: false,
    sequence: { groupOrder: order },
    testTimeout: 240_000,
    hookTimeout: 60_000
  }
})

export default defineConfig({
  test: {
    globalSetup: ["test/support/globalSetup.ts"],
    reporters: ["default", "./test/faults/tableReporter.ts"],
    projects: [suite("fault", 0, 4), suite("load", 1, 1)]
  }
})
