/** Runs in the process of the tests, before each of their files: switches a mutant on, or records what each test executes. */
import { afterAll, afterEach, beforeAll, beforeEach, inject, vi } from "vitest"
import type { MutantCoverage } from "@stryker-mutator/api/core"

declare module "vitest" {
  interface ProvidedContext {
    readonly mutantRun: MutantRun
  }
  interface TaskMeta {
    mutantCoverage?: MutantCoverage | undefined
  }
}

/** The orders of one run to its tests. */
export interface MutantRun {
  /** None in the run that records. */
  readonly mutant: string | undefined
  /** Whether a module executes the mutant when it is loaded. */
  readonly isStatic: boolean
  /** How often the mutant may be executed before that is an endless loop. */
  readonly hitLimit: number | undefined
  /** Milliseconds after which a test hangs. */
  readonly testTimeout: number
}

/** The state that the changed source reads and writes. */
interface Instrumentation {
  activeMutant?: string | undefined
  hitCount?: number | undefined
  hitLimit?: number | undefined
  currentTestId?: string | undefined
  mutantCoverage?: MutantCoverage
  /** Whether modules have been loaded with a mutant. */
  isStale?: boolean
}

const process = globalThis as { __stryker__?: Instrumentation }
const source = (process.__stryker__ ??= {})

const { hitLimit, isStatic, mutant, testTimeout } = inject("mutantRun")
vi.setConfig({ testTimeout, hookTimeout: testTimeout })

source.activeMutant = mutant
source.hitCount = mutant === undefined ? undefined : 0
source.hitLimit = hitLimit
source.currentTestId = undefined
if (isStatic || source.isStale === true) vi.resetModules()
source.isStale = isStatic

// a file owns all that is executed between its tests
// oxlint-disable-next-line no-empty-pattern -- Vitest reads the parameter
beforeAll(({}, suite) => {
  source.currentTestId = suite.id
})
beforeEach(({ task }) => {
  source.currentTestId = task.id
})
afterEach(({ task }) => {
  source.currentTestId = task.file.id
})
// oxlint-disable-next-line no-empty-pattern -- Vitest reads the parameter
afterAll(({}, suite) => {
  source.currentTestId = undefined
  if (mutant === undefined) suite.meta.mutantCoverage = source.mutantCoverage
})
