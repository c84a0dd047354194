/**
 * Runs many simulated agents and counts their calls.
 *
 * - The agents start one after the other, spread over the ramp-up.
 * - Their user, workspace and agents are created through the service's own API if they are missing, and reused
 *   otherwise.
 */
import { Array as Arr, Duration, Effect, Number, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import * as Token from "../access/Token.ts"
import type { AgentId } from "../domain/Ids.ts"
import { AdminApi } from "../admin/AdminApi.ts"
import { quantile } from "../operations/Overview.ts"
import * as SimulatedAgent from "./SimulatedAgent.ts"
import type { Call } from "./SimulatedLife.ts"
import * as Work from "./SimulatedWork.ts"

export interface Member {
  readonly id: AgentId
  readonly token: Token.Token
}

export interface Options {
  readonly url: string
  readonly members: ReadonlyArray<Member>
  readonly keys: ReadonlyArray<string>
  readonly interval: Duration.Duration
  readonly jitter: number
  readonly rampUp: Duration.Duration
  readonly reconnectAfter?: Duration.Duration | undefined
  /** Whether the agents report metadata and nothing else. Default false. */
  readonly metadataOnly?: boolean | undefined
  /** The protocol of their connections. Default: the contract in JSON. */
  readonly protocol?: SimulatedAgent.Protocol | undefined
}

/** The counts of a fleet so far. */
export interface Figures {
  /** Agents that are connected now. */
  connected: number
  /** Calls that succeeded, for each kind of call. */
  readonly calls: Map<Call, number>
  /** Calls and connections that failed, for each kind of failure. */
  readonly failures: Map<string, number>
  /** Calls that succeeded, by the first of {@link latencyBounds} that they did not exceed. */
  readonly latencies: Array<number>
}

/** From half a millisecond to 35 seconds. */
const latencyBounds = Array.from({ length: 51 }, (_, index) => 0.0005 * 1.25 ** index)

export const figures = (): Figures => ({
  connected: 0,
  calls: new Map(),
  failures: new Map(),
  latencies: Array.from({ length: latencyBounds.length + 1 }, () => 0)
})

/** Returns the number of metadata reports that succeeded. */
export const reports = ({ calls }: Figures): number => calls.get("BatchUpdateMetadata") ?? 0

/** Returns the number of calls of all other kinds that succeeded. */
export const otherCalls = (figures: Figures): number => Number.sumAll(figures.calls.values()) - reports(figures)

/** Returns the number of calls and connections that failed. */
export const errors = ({ failures }: Figures): number => Number.sumAll(failures.values())

/** Returns the seconds that a part of the calls that succeeded did not exceed, or null if there were none. */
export const latency = ({ latencies }: Figures, part: number): number | null =>
  quantile({ bounds: latencyBounds, counts: latencies }, part)

const increment = <Key>(counts: Map<Key, number>, key: Key) => counts.set(key, (counts.get(key) ?? 0) + 1)

/** Runs a fleet until it is interrupted, and counts in `figures`. */
export const run = (options: Options, figures: Figures) => {
  const observer: SimulatedAgent.Observer = {
    onConnect: () => figures.connected++,
    onDisconnect: () => figures.connected--,
    onCall: (call, duration) => {
      const seconds = Duration.toSeconds(duration)
      const index = latencyBounds.findIndex((bound) => seconds <= bound)
      figures.latencies[index < 0 ? latencyBounds.length : index]!++
      increment(figures.calls, call)
    },
    onError: (kind) => increment(figures.failures, kind)
  }
  const apart = Duration.times(options.rampUp, 1 / Math.max(1, options.members.length))
  return Effect.forEach(
    options.members,
    ({ token }, index) =>
      Effect.delay(SimulatedAgent.run({ ...options, token, observer }), Duration.times(apart, index)),
    { concurrency: "unbounded", discard: true }
  )
}

/**
 * The maximum number of keys that one call creates, over all agents; far below the service's limit on the request body.
 */
const keysPerCall = 20_000

interface Administration {
  readonly url: string
  /** The token of an administrator. */
  readonly token: Token.Token
}

const administration = ({ token, url }: Administration) =>
  HttpApiClient.make(AdminApi, {
    baseUrl: url,
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader(Token.header, Redacted.value(token)))
  })

/** Deletes a workspace with its agents, and its owner unless the owner has other workspaces. */
export const remove = Effect.fnUntraced(function* (
  options: Administration & { readonly workspace: string; readonly owner: string }
) {
  const api = yield* administration(options)
  const { owner, workspace: name } = options
  const workspaces = (yield* api.workspaces.list()).filter((one) => one.name === name && one.owner === owner)
  for (const { id } of workspaces) yield* api.workspaces.delete({ params: { workspace: id } })
  yield* Effect.catchTag(
    api.users.delete({ params: { username: owner } }),
    ["UserNeeded", "UserNotFound"],
    () => Effect.void
  )
})

/**
 * Returns `count` agents of one workspace, with new tokens. Creates the user, the workspace and the agents if they are
 * missing. Requires the token of an administrator.
 */
export const provision = Effect.fnUntraced(function* (
  options: Administration & {
    readonly workspace: string
    readonly owner: string
    readonly count: number
    readonly keys: ReadonlyArray<string>
    readonly interval: Duration.Duration
    /** The apps, scripts and monitors of each agent. Default: none. */
    readonly equipment?: typeof Work.equipment | undefined
  }
) {
  const { equipment, keys, owner, workspace: name } = options
  const api = yield* administration(options)

  const users = yield* api.users.list()
  if (!users.some(({ username }) => username === owner)) {
    yield* api.users.create({ payload: { username: owner, is_admin: false } })
  }
  const workspaces = yield* api.workspaces.list()
  const workspace =
    workspaces.find((one) => one.name === name && one.owner === owner) ??
    (yield* api.workspaces.create({ payload: { name, owner } }))

  const params = { workspace: workspace.id }
  const known = new Map((yield* api.agents.list({ params })).map(({ id, name }) => [name, id]))
  const names = Array.from({ length: options.count }, (_, index) => `agent-${index + 1}`)
  const rotated = yield* Effect.forEach(
    names.flatMap((name) => known.get(name) ?? []),
    Effect.fnUntraced(function* (id) {
      const params = { agent: id }
      if (equipment !== undefined) yield* api.agents.update({ params, payload: equipment })
      return member(id, (yield* api.agents.rotateToken({ params })).token)
    }),
    { concurrency: 8 }
  )

  const missing = names.filter((name) => !known.has(name))
  const metadata = Work.declarations(keys, options.interval)
  const perCall = Math.max(1, Math.floor(keysPerCall / Math.max(20, keys.length)))
  const added = yield* Effect.forEach(Arr.chunksOf(missing, perCall), (names) =>
    api.agents.create({ params, payload: { agents: names.map((name) => ({ name, metadata, ...equipment })) } })
  )
  return [...rotated, ...added.flat().map(({ id, token }) => member(id, token))]
})

const member = (id: AgentId, token: string): Member => ({ id, token: Redacted.make(token, { label: "token" }) })
