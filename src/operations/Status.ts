/**
 * Prints the state of a running service on a terminal, with the same figures and the same verdict as the dashboard.
 */
import { Console, Data, Effect, Redacted } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import * as Token from "../access/Token.ts"
import { rootOf } from "../platform/RootCause.ts"
import { OverviewApi } from "./OverviewApi.ts"
import { count, duration, rate } from "./FigureFormat.ts"
import type { Overview } from "./Overview.ts"

export interface Options {
  /** The address of the service. */
  readonly url: string
  /** The token of a user. */
  readonly token: Token.Token
  /** Print JSON instead of lines. Default false. */
  readonly json?: boolean | undefined
}

/** There is neither a token nor an embedded database beside the command. */
export class TokenMissing extends Data.TaggedError("TokenMissing") {
  override get message() {
    return "the state of a service needs the token of a user: set ADMIN_TOKEN, or --token"
  }
}

/** There is no service at the address, or it does not respond. */
export class StatusUnknown extends Data.TaggedError("StatusUnknown")<{
  readonly url: string
  readonly cause: unknown
}> {
  override get message() {
    return `the service at ${this.url} says nothing of its state (${rootOf(this.cause)}): start one, or set --url`
  }
}

/** The service knows no user with the token. */
export class StatusRefused extends Data.TaggedError("StatusRefused")<{ readonly url: string }> {
  override get message() {
    return `the service at ${this.url} refuses the token: set ADMIN_TOKEN, or --token, to that of a user`
  }
}

/** The service responds and needs attention. */
export class NotHealthy extends Data.TaggedError("NotHealthy")<{ readonly problems: ReadonlyArray<string> }> {
  override get message() {
    return ["the service needs attention", ...this.problems].join("\n")
  }
}

/** Prints the state of a service, and fails if it is not healthy. */
export const run = Effect.fn("Status.run")(function* (options: Options) {
  const url = options.url.replace(/\/+$/, "")
  const overview = yield* HttpApiClient.make(OverviewApi, {
    baseUrl: url,
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader(Token.header, Redacted.value(options.token)))
  }).pipe(
    Effect.flatMap(({ overview }) => overview.overview()),
    Effect.timeout("10 seconds"),
    Effect.catchTag("Unauthenticated", () => Effect.fail(new StatusRefused({ url }))),
    Effect.mapError((cause) => (cause._tag === "StatusRefused" ? cause : new StatusUnknown({ url, cause }))),
    Effect.provide(FetchHttpClient.layer)
  )
  yield* Console.log(options.json === true ? JSON.stringify(overview) : render(overview))
  if (overview.problems.length > 0) return yield* new NotHealthy({ problems: overview.problems })
})

/** Returns an overview as lines. */
export const render = ({ fleet, flushes, incidents, point, problems, totals, uptime }: Overview): string => {
  const happened = incidents.filter(({ total }) => total > 0)
  return [
    `${problems.length === 0 ? "healthy" : "needs attention"}, up for ${duration(uptime)}`,
    line("agents connected", count(point.agents)),
    line("updates in", `${rate(point.updates)}/s`, `${count(totals.updates)} since the start`),
    line("rows written", `${rate(point.rows)}/s`, `${count(totals.rows)} since the start`),
    line("NOTIFYs", `${rate(point.notifies)}/s`, `${count(totals.notifies)} since the start`),
    line(
      "statements",
      `${rate(point.statements)}/s`,
      `${count(totals.statements)}, which saved ${count(totals.saved)}`
    ),
    line("pending", count(point.pending), `${count(point.queued)} queued`),
    ...flushes
      .filter(({ total }) => total > 0)
      .map(({ isP95Least, mean, p95, reason, total }) =>
        line(
          `flushes, ${reason}`,
          count(total),
          mean === null || p95 === null
            ? ""
            : `mean ${duration(mean)}, 95 % ${isP95Least ? "over" : "in"} ${duration(p95)}`
        )
      ),
    ...(happened.length === 0
      ? [line("dropped or lost", "none")]
      : happened.map(({ label, recent, total }) => line(label, count(total), `${count(recent)} in five minutes`))),
    ...(fleet.replicas.length < 2 ? [] : renderFleet(fleet))
  ].join("\n")
}

/** Returns all replicas, of which the one that answers is marked, and their sums. */
const renderFleet = ({ replicas, sums }: Overview["fleet"]): ReadonlyArray<string> => {
  const figures = ({ agents, pending, rows, updates }: Overview["fleet"]["sums"]) =>
    `${count(agents)} agents, ${rate(updates)} updates/s, ${rate(rows)} rows/s, ${count(pending)} pending`
  return [
    `${replicas.length} replicas`,
    ...replicas.map(
      ({ isOwn, name, problems, ...others }) =>
        `  ${name}${isOwn ? " (this one)" : ""}: ${[figures(others), ...problems].join("; ")}`
    ),
    `  all: ${figures(sums)}`
  ]
}

const line = (label: string, value: string, note = "") =>
  `  ${label.padEnd(24)}  ${value.padStart(9)}${note === "" ? "" : `   ${note}`}`
