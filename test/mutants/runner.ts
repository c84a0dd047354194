/**
 * Runs the tests of a mutant: those that execute it, up to the first that notices it.
 *
 * One Vitest, one Postgres and one process serve all mutants, and the process keeps the modules that it has loaded.
 * Modules are loaded again for a mutant that loading executes or that is about to survive, and after it.
 * Integration tests run only when the other tests have not noticed the mutant.
 * A failure counts if the test passes without the mutant, in the same process unless the test hung.
 */
import type { StrykerOptions } from "@stryker-mutator/api/core"
import { commonTokens, tokens } from "@stryker-mutator/api/plugin"
import {
  type DryRunResult,
  DryRunStatus,
  type MutantRunOptions,
  type MutantRunResult,
  MutantRunStatus,
  type TestResult,
  type TestRunner,
  TestStatus
} from "@stryker-mutator/api/test-runner"
import * as Path from "node:path"
import { type TestModule, type TestSpecification, type Vitest, createVitest } from "vitest/node"
import { KeptProcess } from "./KeptProcess.ts"
import { isInSample, notInSample } from "./sample.ts"
import type { MutantRun } from "./setup.ts"

interface Failure {
  /** Of the test, or of the file that cannot be loaded. */
  readonly id: string
  readonly message: string
}

interface Outcome {
  readonly modules: ReadonlyArray<TestModule>
  readonly failure: Failure | undefined
  /** An error that belongs to no test. */
  readonly stray: string | undefined
}

/** Milliseconds that the tests of a mutant may take beyond what they take without it. */
const runTimeout = 20_000

/** Milliseconds after which a test hangs, from what the slowest takes without a mutant. */
const testTimeoutOf = (slowest: number) => Math.min(3_000 + 5 * slowest, 20_000)

/** The slowest test of a file that this process has not run without a mutant. */
const unknown = 2_000

const isIntegration = ({ moduleId }: TestSpecification) => moduleId.includes(".integration.")

const failureOf = (module: TestModule): Failure | undefined => {
  for (const test of module.children.allTests("failed")) {
    return { id: test.id, message: `${test.fullName}: ${test.result().errors?.[0]?.message ?? ""}` }
  }
  if (module.state() !== "failed") return undefined
  return { id: module.id, message: `${module.relativeModuleId}: ${module.errors()[0]?.message ?? ""}` }
}

const textOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

export class Runner implements TestRunner {
  static inject = tokens(commonTokens.options)
  readonly #process = new KeptProcess()
  /** Milliseconds of the slowest test of a file, without a mutant. */
  readonly #slowest = new Map<string, number>()
  readonly #options: StrykerOptions
  #vitest!: Vitest
  #files!: ReadonlyArray<TestSpecification>

  constructor(options: StrykerOptions) {
    this.#options = options
  }

  capabilities() {
    return { reloadEnvironment: true }
  }

  async init() {
    this.#vitest = await createVitest({
      config: "test/mutants/vitest.config.ts",
      pool: this.#process,
      maxWorkers: 1,
      watch: false,
      bail: 1,
      reporters: [{}]
    })
    this.#files = await this.#vitest.globTestSpecifications()
  }

  async dispose() {
    await this.#vitest.close()
    await this.#process.end()
  }

  async #run(files: ReadonlyArray<TestSpecification>, run: MutantRun): Promise<Outcome> {
    this.#vitest.provide("mutantRun", run)
    this.#vitest.state.filesMap.clear()
    const { testModules, unhandledErrors } = await this.#vitest.runTestSpecifications([...files])
    let failure: Failure | undefined
    for (const module of testModules) failure ??= failureOf(module)
    return { modules: testModules, failure, stray: unhandledErrors.map(textOf)[0] }
  }

  async dryRun(): Promise<DryRunResult> {
    const { failure, modules, stray } = await this.#run(this.#files, {
      mutant: undefined,
      isStatic: false,
      hitLimit: undefined,
      testTimeout: 60_000
    })
    const errorMessage = failure?.message ?? stray
    if (errorMessage !== undefined) return { status: DryRunStatus.Error, errorMessage }
    const tests: Array<TestResult> = []
    const add = (id: string, name: string, timeSpentMs: number) =>
      tests.push({ id, name, timeSpentMs, status: TestStatus.Success })
    for (const module of modules) {
      // a file is a test itself: of all that its hooks execute
      add(module.id, module.relativeModuleId, 0)
      let slowest = 0
      for (const test of module.children.allTests()) {
        const duration = test.diagnostic()?.duration ?? 0
        slowest = Math.max(slowest, duration)
        add(test.id, test.fullName, duration)
      }
      this.#slowest.set(module.id, slowest)
    }
    const mutantCoverage = modules.at(-1)?.meta().mutantCoverage ?? { static: {}, perTest: {} }
    return { status: DryRunStatus.Complete, tests, mutantCoverage }
  }

  /** The files with the tests of these ids; all files, if there are none. */
  #filesOf(ids: ReadonlyArray<string> | undefined): ReadonlyArray<TestSpecification> {
    if (ids === undefined) return this.#files
    return this.#files.flatMap(({ moduleId, project, taskId }) => {
      const own = ids.filter((id) => id === taskId || id.startsWith(`${taskId}_`))
      if (own.length === 0) return []
      return project.createSpecification(moduleId, own.includes(taskId) ? undefined : { testIds: own })
    })
  }

  async mutantRun(options: MutantRunOptions): Promise<MutantRunResult> {
    const { activeMutant, hitLimit, testFilter, timeout } = options
    if (!isInSample({ ...activeMutant, fileName: Path.relative(".", activeMutant.fileName) }))
      return { status: MutantRunStatus.Error, errorMessage: notInSample }
    const files = this.#filesOf(testFilter)
    const run = { mutant: activeMutant.id, hitLimit }
    const [quick, slow] = [files.filter((file) => !isIntegration(file)), files.filter(isIntegration)]
    const isStatic = testFilter === undefined
    // modules that remember something may not execute the mutant again: they are loaded again for what survives
    const rounds = isStatic ? [[quick, true] as const] : [[quick, false] as const, [quick, true] as const]
    for (const [some, isStatic] of [...rounds, [slow, true] as const]) {
      if (some.length === 0) continue
      const slowest = Math.max(...some.map(({ taskId }) => this.#slowest.get(taskId) ?? unknown))
      const noticed = await this.#judge(
        some,
        { ...run, isStatic, testTimeout: testTimeoutOf(slowest) },
        runTimeout + timeout - this.#options.timeoutMS
      )
      if (noticed !== undefined) return noticed
    }
    return { status: MutantRunStatus.Survived, nrOfTests: testFilter?.length ?? 0 }
  }

  /** The result if a test notices the mutant. */
  async #judge(
    files: ReadonlyArray<TestSpecification>,
    run: MutantRun,
    timeout: number
  ): Promise<MutantRunResult | undefined> {
    let errorMessage = ""
    for (let attempt = 1; attempt <= 2; attempt++) {
      let hangs = false
      const timer = setTimeout(() => {
        hangs = true
        void this.#process.end()
      }, timeout)
      const { failure, stray } = await this.#run(files, run)
      clearTimeout(timer)
      if (hangs) return { status: MutantRunStatus.Timeout }
      if (failure === undefined && stray === undefined) return undefined
      if (failure === undefined || failure.message.includes("timed out")) await this.#process.end()
      if (failure !== undefined) {
        const { failure: cause } = await this.#run(this.#filesOf([failure.id]), {
          ...run,
          mutant: "none",
          isStatic: false
        })
        if (cause === undefined)
          return { status: MutantRunStatus.Killed, killedBy: [], failureMessage: failure.message, nrOfTests: 1 }
        await this.#process.end()
      }
      errorMessage = failure?.message ?? stray ?? ""
    }
    return { status: MutantRunStatus.Error, errorMessage }
  }
}
