/**
 * The command line: `serve`, `migrate` and `simulate`.
 *
 * Every setting of the service is a variable of the environment, a few are flags as well. What goes wrong is said in
 * lines that name what to change.
 */
import { Config as EffectConfig, Console, Duration, Effect, Layer, Option, Schema } from "effect"
import { CliError, Command, Flag, GlobalFlag } from "effect/cli"
import * as Config from "./Config.ts"
import * as Simulation from "./fleet/Simulation.ts"
import * as Server from "./Server.ts"
import * as Service from "./Service.ts"
import * as Postgres from "./storage/Postgres.ts"
import * as Fatal from "./telemetry/Fatal.ts"
import * as Logging from "./telemetry/Logging.ts"

const { variables } = Config

// -----------------------------------------------------------------------------
// settings
// -----------------------------------------------------------------------------

type Values = Readonly<Record<string, string>>

/** A setting as a flag, whose value is one for the variable of the setting. */
const setting = (name: string, { description, fallback, name: variable }: Config.Variable<unknown>) =>
  Flag.String(name).pipe(
    Flag.withDescription(`${description} [${variable}${fallback === undefined ? "" : `, default ${fallback}`}]`),
    Flag.map((value): Values => ({ [variable]: value })),
    Flag.withDefault({})
  )

const commonFlags = {
  dataDir: setting("data-dir", variables.dataDir),
  logFormat: setting("log-format", variables.logFormat)
}

const logLevels = { debug: "Debug", info: "Info", warn: "Warn", error: "Error" } as const

/** Reads the settings, and runs what needs them with logs as they want them. */
const withSettings = <A, E extends Error, R>(
  flags: Readonly<Record<string, Values>>,
  run: (settings: Config.Settings) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const settings = yield* Config.read(Object.assign({}, ...Object.values(flags)))
    const level = Option.getOrElse(yield* GlobalFlag.LogLevel, () => logLevels[settings.logLevel])
    return yield* Effect.provide(run(settings), Logging.layer({ format: settings.logFormat, level }))
  }).pipe(Effect.mapError(toUserError))

const toUserError = (cause: Error) => new CliError.UserError({ cause, userMessage: cause.message })

const environment = Object.values<Config.Variable<unknown>>(variables)
  .map(
    ({ description, fallback, name }) =>
      `${name}: ${description}${fallback === undefined ? "" : ` Default: ${fallback}.`}`
  )
  .join("\n")

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
  (flags) => withSettings(flags, (settings) => Effect.scoped(Service.run(settings)))
).pipe(
  Command.withShortDescription("Run the service"),
  Command.withDescription(`Run the service until SIGTERM or Ctrl-C. The environment sets:\n${environment}`)
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

const duration = (name: string) => Flag.String(name).pipe(Flag.withSchema(Schema.DurationFromString))

const simulate = Command.make(
  "simulate",
  {
    url: Flag.String("url").pipe(
      Flag.withDescription(
        `Where the service is; http://${variables.host.fallback}:${variables.port.fallback} by default`
      ),
      Flag.withDefault(`http://${variables.host.fallback}:${variables.port.fallback}`)
    ),
    token: Flag.Redacted("token").pipe(
      Flag.withDescription(`The token of an administrator [${variables.adminToken.name}]`),
      Flag.withFallbackConfig(EffectConfig.Redacted(variables.adminToken.name))
    ),
    agents: Flag.Int("agents").pipe(
      Flag.withDescription("How many agents; 100 by default"),
      Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 }))),
      Flag.withDefault(100)
    ),
    keys: Flag.Int("keys").pipe(
      Flag.withDescription("How many keys each of them reports; 10 by default"),
      Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 500 }))),
      Flag.withDefault(10)
    ),
    interval: duration("interval").pipe(
      Flag.withDescription("The time between two reports of an agent; 10 seconds by default"),
      Flag.withDefault(Duration.seconds(10))
    ),
    jitter: Flag.Finite("jitter").pipe(
      Flag.withDescription("How far a report may be off its time, as a part of the interval; 0.1 by default"),
      Flag.withSchema(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
      Flag.withDefault(0.1)
    ),
    rampUp: duration("ramp-up").pipe(
      Flag.withDescription("The time over which the agents start; 5 seconds by default"),
      Flag.withDefault(Duration.seconds(5))
    ),
    reconnectAfter: duration("reconnect-after").pipe(
      Flag.withDescription("Leave and come back after this time; without it, only when the connection breaks"),
      Flag.optional
    ),
    duration: duration("duration").pipe(Flag.withDescription("Stop after this time"), Flag.optional)
  },
  (options) => Effect.mapError(Simulation.run(options), toUserError)
).pipe(Command.withDescription("Run simulated agents against a service until Ctrl-C, and show how they do"))

/** The whole command line. */
export const command = Command.make("metadata-batcher").pipe(
  Command.withDescription(
    "Keeps the newest value of each agent and key, writes hundreds of them in one statement, and lets people watch"
  ),
  Command.withSubcommands([serve, migrate, simulate])
)
