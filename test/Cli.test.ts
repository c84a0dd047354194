import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Redacted } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { spawn } from "node:child_process"
import * as Consumers from "node:stream/consumers"
import * as Cli from "../src/Cli.ts"
import * as Config from "../src/Config.ts"
import { exitCode } from "../src/operations/ExitCode.ts"
import * as SettingValue from "../src/domain/SettingValue.ts"
import * as Postgres from "./support/Postgres.ts"
import { PostgresError } from "../src/storage/Postgres.ts"
import { compileCache, programAt } from "./support/folder.ts"

/** Runs a command, and returns its output and whether it succeeded. */
const run = (args: ReadonlyArray<string>, environment: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(Command.runWith(Cli.command, { version: "1.2.3" })(args))
    const [out, errors] = [yield* TestConsole.logLines, yield* TestConsole.errorLines]
    return { isFine: Exit.isSuccess(exit), code: exitCode(exit), out: out.join("\n"), errors: errors.join("\n") }
  }).pipe(
    Effect.provide([NodeServices.layer, Cli.presenter]),
    Effect.provide(TestConsole.layer, { local: true }),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))
  )

/** The error that a command ends with. */
const refusal = (args: ReadonlyArray<string>, environment?: Readonly<Record<string, string>>) =>
  Effect.map(run(args, environment), ({ errors, isFine }) => {
    assert.isFalse(isFine)
    return errors
  })

/** The same without what `--token` has to be given for. */
const simulation = (...args: ReadonlyArray<string>) => refusal(["simulate", "--token", "of the administrator", ...args])

describe("the command line", () => {
  it.effect("names its commands and what they do", () =>
    Effect.gen(function* () {
      const { isFine, out } = yield* run(["--help"])

      assert.isTrue(isFine)
      for (const line of [
        /serve +Run the service/,
        /migrate +Bring the schema/,
        /simulate +Run simulated agents/,
        /status +Print the state/
      ]) {
        assert.match(out, line)
      }
    })
  )

  it.effect("prints its version", () =>
    Effect.gen(function* () {
      assert.include((yield* run(["--version"])).out, "1.2.3")
    })
  )

  it.effect("describes every variable of the environment, and every flag with its default", () =>
    Effect.gen(function* () {
      const { out } = yield* run(["serve", "--help"])

      for (const { default: written, description, name } of Object.values(Config.variables)) {
        const line = out.split("\n").find((line) => line.trim().startsWith(`${name} `))
        assert.include(line, description)
        if (written !== undefined) assert.include(line, `Default: ${written}.`)
      }
      for (const flag of [/--host string .*\[HOST, default 127\.0\.0\.1\]/, /--port string .*\[PORT, default 3000\]/]) {
        assert.match(out, flag)
      }
    })
  )

  it.effect("describes the flags of the other commands", () =>
    Effect.gen(function* () {
      assert.match((yield* run(["migrate", "--help"])).out, /--data-dir string .*DATA_DIR/)
      for (const command of ["migrate", "simulate", "status"]) {
        assert.match((yield* run([command, "--help"])).out, /--json/)
      }
      for (const command of ["serve", "migrate", "simulate", "status", "agent"]) {
        assert.include((yield* run([command, "--help"])).out, "2  when a flag")
      }
      const { out } = yield* run(["simulate", "--help"])

      for (const flag of [
        /--url string .*\[default http:\/\/127\.0\.0\.1:3000, or HOST and PORT\]/,
        /--token string .*\[ADMIN_TOKEN\]/,
        /--agents integer .*\[default 100\]/,
        /--keys integer .*\[default 10\]/,
        /--interval duration .*\[default 10 seconds\]/,
        /--jitter number .*\[default 0\.1\]/,
        /--ramp-up duration .*\[default 5 seconds\]/,
        /--reconnect-after duration/,
        /--duration duration/
      ]) {
        assert.match(out, flag)
      }
    })
  )

  it.effect("rejects unknown commands and flags, and suggests similar ones", () =>
    Effect.gen(function* () {
      assert.include(yield* refusal(["serv"]), 'Unknown subcommand "serv"')
      const { code, errors: flag, out } = yield* run(["serve", "--prot", "80"])
      assert.deepStrictEqual([code, out], [2, ""])
      assert.include(flag, "Run metadata-batcher serve --help for its flags.")
      assert.include(flag, "--prot")
      assert.include(flag, "--port")
      assert.include(yield* refusal(["serve", "--port"]), "Missing value for flag --port")
      assert.include(yield* refusal(["migrate", "all"]), '"all"')
    })
  )

  it.effect("ends with every problem of the settings, from flags and environment together", () =>
    Effect.gen(function* () {
      const errors = yield* refusal(["serve", "--port", "http"], { LOG_LEVEL: "loud", PORT: "80" })

      assert.include(
        errors,
        '  PORT must be a port from 1 to 65535, or 0 for a free one (got "http")\n  LOG_LEVEL must be debug'
      )
      assert.include(yield* refusal(["migrate", "--log-format", "xml"]), "LOG_FORMAT must be auto, pretty or json")
    })
  )

  it.effect("rejects an impossible simulation, and names the flag and its requirement", () =>
    Effect.gen(function* () {
      assert.include(yield* refusal(["simulate"]), "Missing required flag: --token")
      for (const [flag, values, must] of [
        ["--url", ["localhost:3000", "ftp://host", "http://host/path"], "an address such as http://host:port"],
        ["--agents", ["0", "100001"], "a whole number from 1 to 100000"],
        ["--agents", ["1.5", "many"], "Expected"],
        ["--keys", ["0", "501"], "a whole number from 1 to 500"],
        ["--interval", ["5", "soon", "0 seconds", "-1 seconds", "infinity"], SettingValue.duration.requirement],
        ["--ramp-up", ["0"], SettingValue.duration.requirement],
        ["--jitter", ["-0.1", "1.1"], "a number from 0 to 1"],
        ["--reconnect-after", ["0 seconds"], SettingValue.duration.requirement],
        ["--duration", ["0 seconds"], SettingValue.duration.requirement]
      ] as const) {
        for (const value of values) {
          const errors = yield* simulation(`${flag}=${value}`)
          assert.include(errors, `Invalid value for flag ${flag}: "${value}"`)
          assert.include(errors, must)
        }
      }
    })
  )

  it.effect("names variables whose names are almost those of settings", () =>
    Effect.gen(function* () {
      const environment = {
        DATABSE_URL: "postgresql://h/d",
        METADATA_FLUSH_INTERVALL: "5s",
        LOGLEVEL: "debug",
        POST: "80",
        DATABASE_URI: "x",
        PORT: "http"
      }

      assert.deepStrictEqual(
        yield* Effect.provideService(
          Config.nearMisses,
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnvRecord(environment)
        ),
        [
          "DATABSE_URL is not a setting: did you mean DATABASE_URL?",
          "METADATA_FLUSH_INTERVALL is not a setting: did you mean METADATA_FLUSH_INTERVAL?",
          "LOGLEVEL is not a setting: did you mean LOG_LEVEL?",
          "DATABASE_URI is not a setting: did you mean DATABASE_URL?"
        ]
      )
      const { PORT: _, ...misspelt } = environment
      const unreachable = { ...misspelt, DATABASE_URL: "postgresql://127.0.0.1:1/none", LOG_LEVEL: "error" }
      assert.include(yield* refusal(["migrate"], unreachable), "DATABSE_URL is not a setting")
    })
  )

  it.effect("tells failures apart by exit codes, and finds the address in HOST and PORT", () =>
    Effect.gen(function* () {
      const nowhere = yield* run(["status", "--token", "any"], { HOST: "0.0.0.0", PORT: "1" })
      assert.strictEqual(nowhere.code, 3)
      assert.include(nowhere.errors, "http://127.0.0.1:1 ")
      const elsewhere = yield* run(["simulate", "--token", "any", "--url", "http://127.0.0.1:2"], { PORT: "1" })
      assert.strictEqual(elsewhere.code, 3)
      assert.include(elsewhere.errors, "http://127.0.0.1:2:")
      assert.strictEqual((yield* run(["status"], { DATABASE_URL: "postgresql://h/d" })).code, 2)
      assert.strictEqual((yield* run(["serve"], { PORT: "http" })).code, 2)
      for (const command of ["migrate", "serve"]) {
        assert.strictEqual((yield* run([command], { DATABASE_URL: "postgresql://127.0.0.1:1/none" })).code, 1)
        assert.strictEqual((yield* run([command], { DATABASE_URL: "mysql://127.0.0.1:1/none" })).code, 2)
      }
      const unreachable = new PostgresError({ reason: "unreachable", detail: "no database replies" })
      assert.strictEqual(exitCode(Exit.fail(unreachable)), 3)
      assert.strictEqual((yield* run(["--version"])).code, 0)
    })
  )

  it.effect("prints the migrations as JSON and nothing else, and its logs beside them", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database("template0")
      const environment = { DATABASE_URL: Redacted.value(url), LOG_FORMAT: "json" }

      const { code, errors, out } = yield* run(["migrate", "--json"], environment)

      assert.strictEqual(code, 0)
      assert.include(JSON.parse(out).migrated, "identities")
      assert.include(errors, "migrated the schema")
    })
  )

  it.effect("says where the service was not found, and no token", () =>
    Effect.gen(function* () {
      const errors = yield* simulation("--url", "http://127.0.0.1:1/")

      assert.include(errors, "there is no service at http://127.0.0.1:1: start one, or set --url")
      assert.notInclude(errors, "of the administrator")
    })
  )

  it.live("ends a process with 2 when its settings are wrong", () =>
    Effect.gen(function* () {
      const child = spawn(process.execPath, [programAt("src/main.ts"), "serve"], {
        env: { PORT: "http", ...compileCache() }
      })
      const [status, out, errors] = yield* Effect.promise(() =>
        Promise.all([
          new Promise((resolve) => child.on("exit", resolve)),
          Consumers.text(child.stdout),
          Consumers.text(child.stderr)
        ])
      )

      assert.strictEqual(status, 2)
      assert.strictEqual(out.trim(), "")
      assert.match(errors, /PORT must be a port from 1 to 65535, or 0 for a free one \(got "http"\)\s*$/)
    })
  )
})
