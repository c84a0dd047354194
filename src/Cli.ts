/**
 * The command line: `serve`, `migrate`, `simulate` and `status`.
 *
 * Every setting of the service is an environment variable, and a few are flags as well. Each error names the flag or the
 * variable to change.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Config as EffectConfig, Console, Duration, Effect, Exit, Layer, Option, Schema } from "effect"
import { CliError, Command, Flag, GlobalFlag } from "effect/cli"
import { createRequire } from "node:module"
import * as Config from "./Config.ts"
import * as SettingValue from "./domain/SettingValue.ts"
import * as Status from "./operations/Status.ts"
import * as Simulation from "./fleet/Simulation.ts"
import * as Server from "./Server.ts"
import * as Serve from "./Serve.ts"
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
  run: (settings: Config.Settings) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const settings = yield* Config.read(Object.assign({}, ...Object.values(flags)))
    const level = Option.getOrElse(yield* GlobalFlag.LogLevel, () => logLevels[settings.logLevel])
    return yield* Effect.provide(run(settings), Logging.layer({ format: settings.logFormat, level }))
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
    demoAgents: setting("demo-agents", variables.demoAgents),
    ...commonFlags
  },
  (flags) => withSettings(flags, (settings) => Effect.scoped(Serve.run(settings)))
).pipe(
  Command.withShortDescription("Run the service"),
  Command.withDescription(
    lines(["Run the service until SIGTERM or Ctrl-C. These variables of the environment set it up:", ...environment])
  )
)

const migrate = Command.make("migrate", commonFlags, (flags) =>
  withSettings(flags, (settings) =>
    Postgres.migrate.pipe(
      Effect.flatMap((applied) =>
        Console.log(applied.length === 0 ? "the schema is up to date" : `migrated: ${applied.join(", ")}`)
      ),
      Effect.provide(Layer.provide(Server.layerDatabase(settings), Fatal.layer))
    )
  )
).pipe(Command.withDescription("Bring the schema of the database up to date, and end"))

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

/** The flags that name a service and a token for it. */
const serviceFlags = (token: string) => ({
  url: optional(
    Flag.String("url").pipe(
      Flag.filter(
        (url) => /^https?:\/\/[^/]+\/*$/.test(url),
        () => "an address such as http://host:port"
      )
    ),
    "The address of the service",
    `http://${variables.host.default}:${variables.port.default}`
  ),
  token: Flag.Redacted("token").pipe(
    Flag.withDescription(`${token} [${variables.adminToken.name}]`),
    Flag.withFallbackConfig(EffectConfig.Redacted(variables.adminToken.name))
  )
})

const simulate = Command.make(
  "simulate",
  {
    ...serviceFlags("The token of an administrator"),
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
    rampUp: optional(durationFlag("ramp-up"), "The time over which the agents start", Duration.seconds(5), "5 seconds"),
    reconnectAfter: durationFlag("reconnect-after").pipe(
      Flag.withDescription("Leave and come back so long after connecting; without it, only when the connection breaks"),
      Flag.optional
    ),
    duration: durationFlag("duration").pipe(
      Flag.withDescription("Stop after this time; without it, with Ctrl-C"),
      Flag.optional
    )
  },
  (options) => Effect.mapError(Simulation.run(options), toUserError)
).pipe(Command.withDescription("Run simulated agents against a service, and print their counts"))

const status = Command.make("status", serviceFlags("The token of a user"), (options) =>
  Effect.mapError(Status.run(options), toUserError)
).pipe(
  Command.withDescription(
    "Print the state of a running service, as its dashboard shows it; ends with 1 if it is not healthy"
  )
)

/** The whole command line. */
export const command = Command.make("metadata-batcher").pipe(
  Command.withDescription(
    "Keeps the newest value of each agent and key, writes hundreds of them in one statement, and lets people watch"
  ),
  Command.withSubcommands([serve, migrate, simulate, status])
)

// -----------------------------------------------------------------------------
// the process
// -----------------------------------------------------------------------------

const { version } = createRequire(import.meta.url)("../package.json") as { readonly version: string }

/** Runs the command line as this process. */
export const main = () =>
  Command.run(command, { version }).pipe(
    Effect.provide(NodeServices.layer),
    NodeRuntime.runMain({
      // a signal is the usual end of the service
      teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
    })
  )
