import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import * as NearMisses from "../../src/domain/NearMisses.ts"

/** The near misses among variables, each as `written → meant`. */
const misses = (names: ReadonlyArray<string>, ...written: ReadonlyArray<string>) =>
  NearMisses.inEnvironment(names).pipe(
    Effect.provideService(
      ConfigProvider.ConfigProvider,
      ConfigProvider.fromEnv({ env: Object.fromEntries(written.map((name) => [name, "1"])) })
    ),
    Effect.map((found) => found.map(({ meant, written }) => `${written} → ${meant}`))
  )

describe("the near misses of twelve letters", () => {
  const meant = "FLUSH_PERIOD"

  it.effect.each([
    ["a letter more", "FLUSH_PERIODS"],
    ["a letter less", "FLUSH_PERIO"],
    ["a letter less at the beginning", "LUSH_PERIOD"],
    ["another letter", "FLUSH_PERIOT"],
    ["another first letter", "PLUSH_PERIOD"],
    ["two other letters", "FLASH_PERIOT"],
    ["swapped neighbours", "FLUSH_PEROID"],
    ["two pairs of swapped neighbours", "LFUSH_PEROID"],
    ["a swap and another letter", "LFUSH_PERIOT"],
    ["swapped neighbours at the end", "FLUSH_PERIDO"]
  ])("include a name with %s", ([, written]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* misses([meant], written!), [`${written} → ${meant}`])
    })
  )

  it.effect.each([
    ["three letters more", "FLUSH_PERIODICAL"],
    ["three other letters", "FLASH_BERIOT"],
    ["a swap and two other letters", "LFASH_PERIOT"],
    ["swapped letters that are no neighbours, and another letter", "FHUSL_PERIOT"],
    ["three letters less", "FLUSH_PER"],
    ["the letters in reverse", "DOIREP_HSULF"]
  ])("exclude a name with %s", ([, written]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* misses([meant], written!), [])
    })
  )
})

describe("near misses", () => {
  it.effect("are none of the names themselves, and of each other name the first that is near", () =>
    Effect.gen(function* () {
      const names = ["FLUSH_PERIOD", "FLUSH_PERIODS", "OTHER_SETTING"]

      assert.deepStrictEqual(yield* misses(names, ...names), [])
      assert.deepStrictEqual(yield* misses(names, "FLUSH_PERIODZ", "OTHER_SETTINGS", "HOME"), [
        "FLUSH_PERIODZ → FLUSH_PERIOD",
        "OTHER_SETTINGS → OTHER_SETTING"
      ])
    })
  )

  it.effect("differ by one letter for each six of the name", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* misses(["PORTS"], "PORT", "PORTZ"), [])
      assert.deepStrictEqual(yield* misses(["PERIOD"], "PERIODS", "PEROID"), ["PERIODS → PERIOD", "PEROID → PERIOD"])
      assert.deepStrictEqual(yield* misses(["PERIOD"], "PERIODES"), [])
      assert.deepStrictEqual(yield* misses(["FLUSH_TIMES"], "FLUSH_TIMERZ"), [])
      assert.deepStrictEqual(yield* misses(["A_NAME_OF_MANY_LETTERS"], "A_NAMES_OF_ANY_LETERS"), [])
    })
  )

  it.effect("are none of an environment that cannot be read, or that is empty", () =>
    Effect.gen(function* () {
      const inProvider = (provider: ConfigProvider.ConfigProvider) =>
        Effect.provideService(NearMisses.inEnvironment(["FLUSH_PERIOD"]), ConfigProvider.ConfigProvider, provider)
      const unreadable = ConfigProvider.make(() =>
        Effect.fail(new ConfigProvider.SourceError({ message: "no such folder", cause: undefined }))
      )

      assert.deepStrictEqual(yield* inProvider(unreadable), [])
      assert.deepStrictEqual(yield* inProvider(ConfigProvider.make(() => Effect.succeed(undefined))), [])
    })
  )

  it.effect("are found beside variables of which they are the beginning", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* misses(["FLUSH_PERIOD"], "FLUSH_PERIODS", "FLUSH_PERIODS_OF_ALL"), [
        "FLUSH_PERIODS → FLUSH_PERIOD"
      ])
    })
  )
})
