import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Redacted } from "effect"
import * as Util from "node:util"
import * as Config from "../src/Config.ts"
import { anyText, beside, defaults, others, wrong } from "./support/settings.ts"

type Environment = Readonly<Record<string, string>>

const read = (environment: Environment, flags: Environment = {}) =>
  Effect.provideService(Config.read(flags), ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))

const problemsOf = (environment: Environment) => Effect.map(Effect.flip(read(environment)), ({ problems }) => problems)

/** Settings as one writes them down. */
const plain = (settings: Config.Settings) =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name,
      Duration.isDuration(value) ? Duration.format(value) : Redacted.isRedacted(value) ? Redacted.value(value) : value
    ])
  )

describe("Config", () => {
  it("names each setting as its variable, in camel case and without METADATA_", () => {
    for (const [setting, { name }] of Object.entries(Config.variables)) {
      const [first, ...rest] = name
        .replace(/^METADATA_/, "")
        .toLowerCase()
        .split("_")
      assert.strictEqual(setting, [first, ...rest.map((word) => word[0]!.toUpperCase() + word.slice(1))].join(""))
    }
  })

  it.effect("reads durations as people write them", () =>
    Effect.gen(function* () {
      const written = {
        "5s": 5_000,
        "500ms": 500,
        "1m30s": 90_000,
        "5 seconds": 5_000,
        "1 minute": 60_000,
        "1.5 h": 5_400_000,
        "1 day 2 hours": 93_600_000,
        " 2 Weeks ": 1_209_600_000,
        "1.5millis": 1.5
      }
      for (const [text, millis] of Object.entries(written)) {
        const { flushInterval } = yield* read({ METADATA_FLUSH_INTERVAL: text })
        assert.strictEqual(Duration.toMillis(flushInterval), millis, text)
      }
    })
  )

  it.effect("repeats a wrong value if it is short and no secret", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({
        METADATA_FLUSH_INTERVAL: "5",
        LOG_FORMAT: "0123456789abcdef",
        ADMIN_TOKEN: "short",
        DATABASE_URL: "db"
      })

      assert.deepStrictEqual(problems, [
        "DATABASE_URL must be an address that begins with postgresql://",
        "ADMIN_TOKEN must be at least 16 characters long",
        'METADATA_FLUSH_INTERVAL must be a positive duration such as 5s, 500ms or 1m30s (got "5")',
        "LOG_FORMAT must be auto, pretty or json"
      ])
    })
  )

  it("names each variable once, and all of them are tested here", () => {
    const names = Object.values(Config.variables).map(({ name }) => name)

    assert.deepStrictEqual(names, Object.keys(others))
    assert.sameMembers([...Object.keys(wrong), ...anyText], names)
  })

  it.effect("has a default for every variable", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(plain(yield* read({})), defaults)
    })
  )

  it.effect("takes every variable from the environment", () =>
    Effect.gen(function* () {
      for (const [name, [value, setting, decoded]] of Object.entries(others)) {
        const settings = plain(yield* read({ [name]: value, ...beside[name] }))
        assert.deepStrictEqual(settings[setting], decoded, name)
      }
    })
  )

  it.effect("takes an empty variable as absent", () =>
    Effect.gen(function* () {
      const empty = Object.fromEntries(Object.keys(others).map((name) => [name, ""]))

      assert.deepStrictEqual(plain(yield* read(empty)), defaults)
    })
  )

  it.effect("names the variable of a wrong value and its requirement", () =>
    Effect.gen(function* () {
      for (const [name, [values, must]] of Object.entries(wrong)) {
        for (const value of values) {
          const [problem, ...further] = yield* problemsOf({ [name]: value, ...beside[name] })
          assert.strictEqual(problem!.replace(/ \(got .*\)$/, ""), `${name} must be ${must}`, value)
          assert.deepStrictEqual(further, [])
        }
      }
    })
  )

  it.effect("accepts the default of each variable", () =>
    Effect.gen(function* () {
      for (const { default: written, name } of Object.values(Config.variables)) {
        if (written !== undefined) yield* read({ [name]: written })
      }
    })
  )

  it.effect("reports every problem at once", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        read({
          PORT: "http",
          LOG_LEVEL: "loud",
          DATABASE_LISTEN_URL: "postgresql://h/d",
          PUBSUB_TLS_CERT: "/etc/cert.pem",
          METADATA_STORE_TLS_KEY: "/etc/key.pem",
          METADATA_MAX_PENDING: "499",
          METADATA_MAX_BACKLOG_BATCH_SIZE: "498",
          AGENT_PING_TIMEOUT: "29 seconds",
          PUBSUB_WATCHDOG_TIMEOUT: "29 seconds"
        })
      )

      assert.deepStrictEqual(error.message.split("\n"), [
        'PORT must be a port from 1 to 65535, or 0 for a free one (got "http")',
        'LOG_LEVEL must be debug, info, warn or error (got "loud")',
        "METADATA_MAX_PENDING must be at least METADATA_MAX_BATCH_SIZE",
        "METADATA_MAX_BACKLOG_BATCH_SIZE must be at least METADATA_MAX_BATCH_SIZE",
        "DATABASE_LISTEN_URL needs DATABASE_URL: set that too, or leave this out",
        "PUBSUB_CREDENTIALS_FILE and PUBSUB_TLS_* need PUBSUB_URL: set that too, or leave them out",
        "PUBSUB_TLS_CERT and PUBSUB_TLS_KEY need each other: set both, or none",
        "METADATA_STORE_CREDENTIALS_FILE and METADATA_STORE_TLS_* need METADATA_STORE_URL: set that too, or leave them out",
        "METADATA_STORE_TLS_CERT and METADATA_STORE_TLS_KEY need each other: set both, or none",
        "AGENT_PING_TIMEOUT must be at least two times AGENT_PING_INTERVAL",
        "PUBSUB_WATCHDOG_TIMEOUT must be at least two times PUBSUB_WATCHDOG_INTERVAL"
      ])
    })
  )

  it.effect("reports no conflict between settings of which one is wrong by itself", () =>
    Effect.gen(function* () {
      assert.lengthOf(yield* problemsOf({ METADATA_MAX_BATCH_SIZE: "9999999", METADATA_MAX_PENDING: "1" }), 1)
      assert.lengthOf(yield* problemsOf({ DATABASE_URL: "mysql://h/d", DATABASE_LISTEN_URL: "postgresql://h/d" }), 1)
    })
  )

  it.effect("prefers a flag to the environment, and the environment to the default", () =>
    Effect.gen(function* () {
      const environment = { PORT: "1000", HOST: "::1" }

      const { dataDir, host, port } = yield* read(environment, { PORT: "2000" })

      assert.deepStrictEqual([port, host, dataDir], [2_000, "::1", defaults.dataDir])
      assert.strictEqual((yield* read({ PORT: "http" }, { PORT: "2000" })).port, 2_000)
      const error = yield* Effect.flip(read(environment, { PORT: "http" }))
      assert.include(error.message, "PORT must be")
    })
  )

  it.effect("takes no part in variables whose names go on after that of a setting, such as HOST_NAME", () =>
    Effect.gen(function* () {
      const longer = Object.values(Config.variables).map(({ name }) => [`${name}_NAME`, "metadata.example.com"])

      assert.deepStrictEqual(plain(yield* read(Object.fromEntries(longer))), plain(yield* read({})))
      assert.strictEqual((yield* read({ HOST_NAME: "metadata.example.com", HOST: "::1" })).host, "::1")
    })
  )

  it.effect("shows no secret, neither in a problem nor when settings are printed", () =>
    Effect.gen(function* () {
      const secret = "hunter2hunter2hunter2"
      const error = yield* Effect.flip(
        read({
          ADMIN_TOKEN: "hunter2",
          DATABASE_URL: `mysql://u:${secret}@h/d`,
          DATABASE_LISTEN_URL: secret,
          PORT: secret
        })
      )
      const settings = yield* read({ ADMIN_TOKEN: secret, DATABASE_URL: `postgresql://u:${secret}@h/d` })

      assert.lengthOf(error.problems, 4)
      for (const shown of [error, settings]) {
        assert.notInclude(`${Util.inspect(shown, { depth: 9 })}${JSON.stringify(shown)}${String(shown)}`, "hunter2")
      }
    })
  )
})
