/**
 * The command line: `serve`, `migrate`, `simulate`, `status` and `agent`.
 *
 * Every setting of the service is an environment variable, and a few are flags as well. Each error names the flag or the
 * variable to change.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import {
  Config as EffectConfig,
  Console,
  Duration,
  Effect,
  FileSystem,
  Layer,
  Option,
  Redacted,
  Schema,
  Stream
} from "effect"
import { CliError, CliOutput, Command, Flag, GlobalFlag, TerminalCapabilities } from "effect/cli"
import { FetchHttpClient } from "effect/http"
import { createRequire } from "node:module"
import * as Token from "./access/Token.ts"
import * as Config from "./Config.ts"
import * as Database from "./Database.ts"
import * as SettingValue from "./domain/SettingValue.ts"
import { exitCode, keepExitCode } from "./operations/ExitCode.ts"
import * as Status from "./operations/Status.ts"
import * as Agent from "./agent/Agent.ts"
import * as SimulatedAgent from "./fleet/SimulatedAgent.ts"
import * as Simulation from "./fleet/Simulation.ts"
import * as ServeWorkers from "./ServeWorkers.ts"
import * as EmbeddedPostgres from "./postgres/EmbeddedPostgres.ts"
import * as Postgres from "./storage/Postgres.ts"
import * as Fatal from "./telemetry/Fatal.ts"
import * as Logging from "./telemetry/Logging.ts"

const { variables } = Config

// -----------------------------------------------------------------------------
// settings
// -----------------------------------------------------------------------------

type Values = Readonly<Record<string, string>>

/** A flag that sets the variable of a setting. */
const setting = (name: string, { default: written, description, name: variable }: Config.Variable<unknown>) =>
  Flag.String(name).pipe(
    Flag.withDescription(`${description} [${variable}${written === undefined ? "" : `, default ${written}`}]`),
    Flag.map((value): Values => ({ [variable]: value })),
    Flag.withDefault({})
  )

const commonFlags = {
  dataDir: setting("data-dir", variables.dataDir),
  logFormat: setting("log-format", variables.logFormat)
}

const logLevels = { debug: "Debug", info: "Info", warn: "Warn", error: "Error" } as const

/** Reads the settings, and runs an effect with them and with their logs. */
const withSettings = <A, E extends Error, R>(
  flags: Readonly<Record<string, Values>>,
  run: (settings: Config.Settings) => Effect.Effect<A, E, R>,
  logsTo: Logging.Options["to"] = "log"
) =>
  Effect.gen(function* () {
    const settings = yield* Config.read(Object.assign({}, ...Object.values(flags)))
    const level = Option.getOrElse(yield* GlobalFlag.LogLevel, () => logLevels[settings.logLevel])
    for (const problem of yield* Config.nearMisses) yield* Console.error(problem)
    const { canColor: colors } = yield* TerminalCapabilities.TerminalCapabilities
    return yield* Effect.provide(
      run(settings),
      Logging.layer({ format: settings.logFormat, level, colors, to: logsTo })
    )
  }).pipe(Effect.mapError(toUserError))

/** Lines, each after the first indented like the first. */
const lines = (texts: ReadonlyArray<string>) => texts.join("\n  ")

const toUserError = (cause: Error) => new CliError.UserError({ cause, userMessage: lines(cause.message.split("\n")) })

const environment = Object.values<Config.Variable<unknown>>(variables).map(
  ({ default: written, description, name }) =>
    `  ${name.padEnd(24)}  ${description}${written === undefined ? "" : ` Default: ${written}.`}`
)

// -----------------------------------------------------------------------------
// commands
// -----------------------------------------------------------------------------

const serve = Command.make(
  "serve",
  {
    host: setting("host", variables.host),
    port: setting("port", variables.port),
    workers: setting("workers", variables.workers),
    demoAgents: setting("demo-agents", variables.demoAgents),
    ...commonFlags
  },
  (flags) => withSettings(flags, (settings) => Effect.scoped(ServeWorkers.run(settings)))
).pipe(
  Command.withShortDescription("Run the service"),
  Command.withDescription(
    lines([
      "Run the service until SIGTERM or Ctrl-C. The exit code is",
      "0  after a signal",
      "1  when it could not start, or could not go on",
      "2  when a flag or a setting is wrong",
      "3  when no database replies at its start",
      "These variables of the environment set it up:",
      ...environment
    ])
  )
)

const json = (what: string) =>
  Flag.Boolean("json").pipe(Flag.withDescription(`Print ${what} as one JSON object`), Flag.withDefault(false))

const outcome = (applied: ReadonlyArray<string>) =>
  applied.length === 0 ? "the schema is up to date" : `migrated: ${applied.join(", ")}`

const migrate = Command.make("migrate", { ...commonFlags, json: json("the migrations") }, ({ json, ...flags }) =>
  withSettings(
    flags,
    (settings) =>
      Postgres.migrate.pipe(
        Effect.flatMap((applied) => Console.log(json ? JSON.stringify({ migrated: applied }) : outcome(applied))),
        Effect.provide(Layer.provide(Database.layer(settings, Postgres.layer), Fatal.layer))
      ),
    json ? "error" : "log"
  )
).pipe(
  Command.withShortDescription("Bring the schema of the database up to date, and end"),
  Command.withDescription(
    lines([
      "Bring the schema of the database up to date, and end. The exit code is",
      "0  when the schema is up to date",
      "1  when a migration failed, or the database refuses this role",
      "2  when a flag or a setting is wrong",
      "3  when no database replies"
    ])
  )
)

/** A flag with a default, shown in its description. */
const optional = <A>(flag: Flag.Flag<A>, description: string, fallback: A, written = String(fallback)) =>
  flag.pipe(Flag.withDescription(`${description} [default ${written}]`), Flag.withDefault(fallback))

const count = (name: string, maximum: number) =>
  Flag.Int(name).pipe(
    Flag.filter(
      (count) => count >= 1 && count <= maximum,
      () => `a whole number from 1 to ${maximum}`
    )
  )

const durationFlag = (name: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("duration"),
    Flag.filterMap(Schema.decodeOption(SettingValue.duration.codec), () => SettingValue.duration.requirement)
  )

/** The address of the service that the settings of this environment describe. */
const ownUrl = Effect.map(
  Effect.orElseSucceed(Config.read(), () => undefined),
  (settings) => {
    const host = settings?.host ?? variables.host.default!
    const isAny = host === "0.0.0.0" || host === "::"
    return `http://${isAny ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host}:${settings?.port ?? variables.port.default}`
  }
)

const isUrl = (url: string): boolean => /^https?:\/\/[^/]+\/*$/.test(url)
const urlRequirement = "an address such as http://host:port"

const url = Flag.String("url").pipe(
  Flag.filter(isUrl, () => urlRequirement),
  Flag.withDescription(
    `The address of the service [default http://${variables.host.default}:${variables.port.default}, or HOST and PORT]`
  ),
  Flag.optional
)

const token = (whose: string) =>
  Flag.Redacted("token").pipe(
    Flag.withDescription(`${whose} [${variables.adminToken.name}]`),
    Flag.withFallbackConfig(EffectConfig.Redacted(variables.adminToken.name))
  )

const simulate = Command.make(
  "simulate",
  {
    url,
    token: token("The token of an administrator"),
    agents: optional(count("agents", 100_000), "How many agents", 100),
    keys: optional(count("keys", 500), "How many keys each of them reports", 10),
    interval: optional(
      durationFlag("interval"),
      "The time between two reports of an agent",
      Duration.seconds(10),
      "10 seconds"
    ),
    jitter: optional(
      Flag.Finite("jitter").pipe(
        Flag.filter(
          (part) => part >= 0 && part <= 1,
          () => "a number from 0 to 1"
        )
      ),
      "How far a report may be off its time, as a part of the interval",
      0.1
    ),
    metadataOnly: Flag.Boolean("metadata-only").pipe(
      Flag.withDescription("Report metadata and nothing else; without it agents behave like real ones"),
      Flag.withDefault(false)
    ),
    protocol: optional(
      Flag.Literals("protocol", SimulatedAgent.protocols),
      "The protocol of their connections: the contract in JSON, or the original's",
      "json"
    ),
    rampUp: optional(durationFlag("ramp-up"), "The time over which the agents start", Duration.seconds(5), "5 seconds"),
    reconnectAfter: durationFlag("reconnect-after").pipe(
      Flag.withDescription("Leave and come back so long after connecting; without it, only when the connection breaks"),
      Flag.optional
    ),
    keep: Flag.Boolean("keep").pipe(
      Flag.withDescription("Leave the agents at the service for the next run; without it they are deleted"),
      Flag.withDefault(false)
    ),
    json: json("the totals, and nothing before them,"),
    duration: durationFlag("duration").pipe(
      Flag.withDescription("Stop after this time; without it, with Ctrl-C"),
      Flag.optional
    )
  },
  (options) =>
    Effect.flatMap(ownUrl, (own) =>
      Simulation.run({ ...options, url: Option.getOrElse(options.url, () => own) }).pipe(
        Effect.onExit((exit) => keepExitCode(exit)),
        Effect.mapError(toUserError)
      )
    )
).pipe(
  Command.withShortDescription("Run simulated agents against a service, and print their counts"),
  Command.withDescription(
    lines([
      "Run simulated agents against a service, and print their counts, the latencies of their calls and the kinds of",
      "their failures. The exit code is",
      "0  when every call was accepted",
      "1  when calls or attempts to connect failed",
      "2  when a flag or the token is wrong",
      "3  when no service replies"
    ])
  )
)

/** Reads `cpu=top -bn1` as a key and its script. */
const ownKey = Flag.String("key").pipe(
  Flag.withMetavar("key=script"),
  Flag.filterMap(
    (text) => {
      const [, key, script] = /^([^=]{1,127})=(.*\S.*)$/s.exec(text) ?? []
      return key === undefined || script === undefined ? Option.none() : Option.some({ key, script })
    },
    () => "a key of at most 127 characters and its script, such as cpu='uptime'"
  )
)

const agent = Command.make(
  "agent",
  {
    url: Flag.String("url").pipe(
      Flag.filter(isUrl, () => urlRequirement),
      Flag.withDescription("The address of the service [CODER_AGENT_URL]"),
      Flag.withFallbackConfig(EffectConfig.String("CODER_AGENT_URL"))
    ),
    token: Flag.Redacted("token").pipe(
      Flag.withDescription("The token of the agent [CODER_AGENT_TOKEN]"),
      Flag.withFallbackConfig(EffectConfig.Redacted("CODER_AGENT_TOKEN"))
    ),
    keys: ownKey.pipe(
      Flag.withDescription(
        "A key of the agent's own, and its script; may be repeated. The service has to let agents declare keys"
      ),
      Flag.atLeast(0)
    ),
    interval: optional(
      durationFlag("interval"),
      "The time between two runs of the scripts of such keys",
      Duration.seconds(10),
      "10 seconds"
    ),
    timeout: optional(
      durationFlag("timeout"),
      "The longest time that the script of such a key may take",
      Duration.seconds(5),
      "5 seconds"
    ),
    logInput: Flag.Boolean("log-input").pipe(
      Flag.withDescription("Log the lines of standard input"),
      Flag.withDefault(false)
    )
  },
  ({ interval, keys, logInput, timeout, token, url }) =>
    Agent.run({
      url: url.replace(/\/+$/, ""),
      token,
      version,
      keys: keys.map((own) => ({ ...own, interval, timeout })),
      lines: logInput ? Agent.inputLines : Stream.empty
    }).pipe(Effect.provide(FetchHttpClient.layer), Effect.mapError(toUserError))
).pipe(
  Command.withShortDescription("Report from this machine as an agent"),
  Command.withDescription(
    lines([
      "Report from this machine as an agent: runs the scripts that are declared for the agent at their intervals and",
      "reports their output, until SIGTERM or Ctrl-C. The exit code is",
      "0  after a signal",
      "2  when a flag, the token or a key is wrong",
      "3  when something else is at the address"
    ])
  )
)

/** The token that the dashboard of a service on the embedded database signs in with. */
const embeddedToken = Effect.gen(function* () {
  const { dataDir, databaseUrl } = yield* Config.read()
  if (databaseUrl !== undefined) return Option.none()
  const password = yield* FileSystem.FileSystem.use((fs) => fs.readFileString(EmbeddedPostgres.passwordFileOf(dataDir)))
  return Option.some(yield* Token.derive(Redacted.make(password), "dashboard"))
}).pipe(
  Effect.provide(NodeCrypto.layer),
  Effect.orElseSucceed(() => Option.none<Token.Token>())
)

const status = Command.make(
  "status",
  {
    url,
    token: Flag.optional(token("The token of a user; beside the embedded database none is needed")),
    json: json("the state")
  },
  Effect.fnUntraced(function* ({ json, token, url }) {
    const own = yield* ownUrl
    const known = Option.isSome(token) ? token : yield* embeddedToken
    if (Option.isNone(known)) return yield* new Status.TokenMissing()
    yield* Status.run({ url: Option.getOrElse(url, () => own), token: known.value, json })
  }, Effect.mapError(toUserError))
).pipe(
  Command.withShortDescription("Print the state of a running service, as its dashboard shows it"),
  Command.withDescription(
    lines([
      "Print the state of a running service, as its dashboard shows it. The exit code is",
      "0  when it is healthy",
      "1  when it needs attention",
      "2  when a flag, a setting or the token is wrong",
      "3  when no service replies"
    ])
  )
)

/** The whole command line. */
export const command = Command.make("metadata-batcher").pipe(
  Command.withDescription(
    "Keeps the newest value of each agent and key, writes hundreds of them in one statement, and lets people watch"
  ),
  Command.withSubcommands([serve, migrate, simulate, status, agent])
)

// -----------------------------------------------------------------------------
// the process
// -----------------------------------------------------------------------------

const { version } = createRequire(import.meta.url)("../package.json") as { readonly version: string }

/** A wrong invocation is described on standard error alone, without the whole help. */
export const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.gen(function* () {
          const { canColor: colors } = yield* TerminalCapabilities.TerminalCapabilities
          yield* Console.error(CliOutput.defaultFormatter({ colors }).formatErrors(event.errors))
          yield* Console.error(`\nRun ${event.commandPath.join(" ")} --help for its flags.`)
        })
      : CliOutput.defaultPresenter.present(event)
})

/** Runs the command line as this process. */
export const main = () =>
  Command.run(command, { version }).pipe(
    Effect.provide([NodeServices.layer, presenter]),
    NodeRuntime.runMain({ teardown: (exit, onExit) => onExit(exitCode(exit)) })
  )
