/**
 * Runs a fleet on the command line: prepares its agents, runs them, and prints their counts, their latencies and their
 * failures.
 */
import { Console, Data, type Duration, Effect, Option, Schedule, Terminal } from "effect"
import { FetchHttpClient } from "effect/http"
import type * as Token from "../access/Token.ts"
import * as Fleet from "./Fleet.ts"
import { duration } from "../operations/FigureFormat.ts"
import type * as SimulatedAgent from "./SimulatedAgent.ts"
import * as Work from "./SimulatedWork.ts"

export interface Options {
  readonly url: string
  /** The token of an administrator. */
  readonly token: Token.Token
  readonly agents: number
  readonly keys: number
  readonly interval: Duration.Duration
  readonly jitter: number
  readonly metadataOnly: boolean
  readonly protocol?: SimulatedAgent.Protocol | undefined
  readonly rampUp: Duration.Duration
  readonly reconnectAfter: Option.Option<Duration.Duration>
  /** Whether the agents stay at the service after the run, for the next one. Default false. */
  readonly keep?: boolean | undefined
  /** Print the totals as JSON, and nothing else. Default false. */
  readonly json?: boolean | undefined
  /** How long the fleet runs. Default forever. */
  readonly duration: Option.Option<Duration.Duration>
}

/** No service listens at the address. */
export class ServiceUnreachable extends Data.TaggedError("ServiceUnreachable")<{
  readonly url: string
  readonly cause: unknown
}> {
  override get message() {
    return `there is no service at ${this.url}: start one, or set --url`
  }
}

/** The token is not that of an administrator. */
export class TokenRefused extends Data.TaggedError("TokenRefused")<{
  readonly url: string
}> {
  override get message() {
    return `the service at ${this.url} refuses the token: set ADMIN_TOKEN, or --token, to an administrator's`
  }
}

/** Calls of the agents, or their attempts to connect, failed. */
export class CallsFailed extends Data.TaggedError("CallsFailed")<{ readonly errors: number }> {
  override get message() {
    return `${this.errors} calls or attempts to connect failed`
  }
}

/**
 * Runs a fleet for the duration or until it is interrupted, and then prints the totals. Fails if a call or an attempt to
 * connect failed. Counts in `figures`.
 */
export const run = Effect.fn("Simulation.run")(function* (options: Options, figures = Fleet.figures()) {
  const { agents, interval, reconnectAfter } = options
  const url = options.url.replace(/\/+$/, "")
  const keys = Work.keys(options.keys)
  const say = options.json === true ? () => Effect.void : (line: string) => Console.log(line)
  yield* say(`preparing ${agents} agents with ${keys.length} keys each at ${url}`)
  // the keys of an agent are declared once, so other keys need other agents
  const place = { url, token: options.token, workspace: `simulation-${keys.length}-keys`, owner: "simulation" }
  const equipment = options.metadataOnly ? undefined : Work.equipment
  const members = yield* Fleet.provision({ ...place, count: agents, keys, interval, equipment }).pipe(
    Effect.catchTags({
      HttpClientError: (cause) => new ServiceUnreachable({ url, cause }),
      Unauthenticated: () => new TokenRefused({ url }),
      Forbidden: () => new TokenRefused({ url })
    }),
    Effect.provide(FetchHttpClient.layer)
  )

  const fleet = Fleet.run(
    { ...options, url, members, keys, reconnectAfter: Option.getOrUndefined(reconnectAfter) },
    figures
  )
  const end = Option.match(options.duration, { onNone: () => Effect.never, onSome: Effect.sleep })
  const shown = options.json === true ? Effect.never : progress(agents, figures)
  yield* Effect.raceAllFirst([fleet, end, shown]).pipe(
    Effect.onExit(
      Effect.fnUntraced(function* () {
        yield* Console.log(options.json === true ? JSON.stringify(totals(figures)) : `\n${summary(figures)}`)
        if (options.keep !== true) yield* Effect.flatMap(cleanUp(place), say)
        const errors = Fleet.errors(figures)
        if (errors > 0) return yield* new CallsFailed({ errors })
      })
    )
  )
})

/** Deletes the agents, and returns what came of it. The service may be gone by now. */
const cleanUp = (place: Parameters<typeof Fleet.remove>[0]) =>
  Fleet.remove(place).pipe(
    Effect.timeout("30 seconds"),
    Effect.match({
      onSuccess: () => `deleted the workspace ${place.workspace} with its agents`,
      onFailure: () => `cannot delete the workspace ${place.workspace} of ${place.owner}: delete it yourself`
    }),
    Effect.provide(FetchHttpClient.layer)
  )

/** Prints one line: on a terminal it is rewritten every second; elsewhere a new line is printed every ten seconds. */
const progress = Effect.fnUntraced(function* (agents: number, figures: Fleet.Figures) {
  const terminal = yield* Terminal.Terminal
  const [period, begin, end] = process.stdout.isTTY ? [1, "\r\u001B[2K", ""] : [10, "", "\n"]
  let before = 0
  const line = Effect.suspend(() => {
    const reports = Fleet.reports(figures)
    const rate = (reports - before) / period
    before = reports
    return terminal.display(`${begin}${describe(agents, figures, rate)}${end}`)
  })
  return yield* Effect.andThen(Effect.schedule(line, Schedule.spaced(`${period} seconds`)), Effect.never)
})

/** Returns the counts of a fleet in one line. */
export const describe = (agents: number, figures: Fleet.Figures, rate: number): string =>
  [
    `${figures.connected} of ${agents} agents connected`,
    `${rate.toFixed(1)} reports/s`,
    `${Fleet.reports(figures)} reports`,
    `${Fleet.otherCalls(figures)} other calls`,
    `${Fleet.errors(figures)} errors`
  ].join(", ")

const quantiles = [0.5, 0.95, 0.99] as const

/** Returns the totals of a fleet, with the latencies of its calls in seconds, and the kinds of its failures. */
export const totals = (figures: Fleet.Figures) => ({
  reports: Fleet.reports(figures),
  otherCalls: Fleet.otherCalls(figures),
  errors: Fleet.errors(figures),
  acceptedWithin: Object.fromEntries(quantiles.map((part) => [`${part * 100} %`, Fleet.latency(figures, part)])),
  failures: Object.fromEntries(figures.failures)
})

/** Returns the same in lines. */
export const summary = (figures: Fleet.Figures): string =>
  [
    `${Fleet.reports(figures)} reports and ${Fleet.otherCalls(figures)} other calls accepted, ${Fleet.errors(figures)} errors`,
    ...quantiles.flatMap((part) => {
      const seconds = Fleet.latency(figures, part)
      return seconds === null ? [] : [`  ${part * 100} % accepted within ${duration(seconds)}`]
    }),
    ...[...figures.failures].sort(([, one], [, other]) => other - one).map(([kind, errors]) => `  ${errors} × ${kind}`)
  ].join("\n")
