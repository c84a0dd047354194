/**
 * Sends commands to the nodes of Redis or Valkey, a single server or a cluster, for as long as the scope is open.
 *
 * - A command goes to the node of its key, and fails when that does not respond within {@link responseTimeout}. Nothing
 *   waits for a connection that is away.
 * - Every node is checked every {@link interval}, and at once after a command failed. While one does not respond, the
 *   connections are replaced with the pauses of {@link backoff}, so that a node that took over is found.
 * - A gauge and two log records tell that nodes are away, and that they are back.
 */
import { Data, type Duration, Effect, Metric, Option, Queue, Result, Schedule, type Scope } from "effect"
import type { AgentId } from "../../../domain/Ids.ts"
import { StoreError } from "../../../domain/StoreError.ts"
import * as MetadataStoreMetrics from "../../../metadata/MetadataStoreMetrics.ts"
import type * as RemoteServer from "../../../platform/RemoteServer.ts"
import * as FailureMetrics from "../../../telemetry/FailureMetrics.ts"
import * as RedisClients from "./redisClients.ts"

/** The time between two checks of all nodes. */
export const interval: Duration.Input = "2 seconds"

/** The longest that a node may take for its reply. */
export const responseTimeout: Duration.Input = "3 seconds"

/** The pauses between two replacements of the connections: 1 s, then doubled up to 4 s, varied by a fifth. */
const backoff = Schedule.jittered(Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("4 seconds")]))

/** A command has no result: its connection broke, its node was silent, or the reply is an error. */
export class CommandFailed extends Data.TaggedError("CommandFailed")<{ readonly cause: unknown }> {
  /** The error with which the server replied, or an empty text. */
  get reply(): string {
    const text = this.cause instanceof Error ? this.cause.message : ""
    return /^[A-Z]+ /.test(text) ? text : ""
  }
}

/** Counts a failed operation of the store, and fails. */
export const failedOperation = (operation: string, cause: unknown, changed?: ReadonlyArray<AgentId>) =>
  Effect.andThen(
    FailureMetrics.storeFailed(operation, "unavailable"),
    Effect.fail(new StoreError({ operation, reason: "unavailable", cause, changed }))
  )

type Keyed = readonly [key: string, command: RedisClients.Command]

export interface RedisNodes {
  /** Sends each command to the node of its key, all at the same time, and returns their results in order. */
  readonly sendAll: (
    commands: ReadonlyArray<Keyed>
  ) => Effect.Effect<ReadonlyArray<Result.Result<unknown, CommandFailed>>>
  /** Sends a command to the node of a key. */
  readonly send: (...command: Keyed) => Effect.Effect<unknown, CommandFailed>
  /** Lists the keys of every node that match a pattern, some at a time. */
  readonly scan: <E>(
    pattern: string,
    onKeys: (keys: ReadonlyArray<string>) => Effect.Effect<void, E>
  ) => Effect.Effect<void, E | CommandFailed>
  /** Turns the error of a command into one that names the setting. */
  readonly broken: (error: CommandFailed) => RemoteServer.Problem
  /** Returns why no value can be written or read, or `undefined`. */
  readonly problem: Effect.Effect<string | undefined>
}

export interface Options extends RedisClients.Options {
  /** A key of no agent. */
  readonly probe: string
}

export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<RedisNodes, RemoteServer.Problem, Scope.Scope> {
  const { broken, open } = yield* RedisClients.make(options)
  let current = yield* open
  yield* Effect.addFinalizer(() => Effect.sync(() => current.destroy()))

  const failed = yield* Queue.sliding<void>(1)
  const sendAll = (commands: ReadonlyArray<Keyed>) =>
    Effect.suspend(() => {
      const results = commands.map((): Result.Result<unknown, CommandFailed> => noResponse)
      const settled = commands.map(([key, command], index) =>
        current.send(key, command).then(
          (reply) => void (results[index] = Result.succeed(reply)),
          (cause) => void (results[index] = Result.fail(new CommandFailed({ cause })))
        )
      )
      return Effect.promise(() => Promise.all(settled)).pipe(
        Effect.timeoutOption(responseTimeout),
        Effect.map(() => {
          if (results.some(hasNoReply)) Queue.offerUnsafe(failed, undefined)
          return results
        })
      )
    })

  const away = yield* watchNodes(
    () => current,
    Effect.map(open, (fresh) => {
      const old = current
      current = fresh
      return old
    }),
    failed,
    options.probe
  )

  return {
    sendAll,
    send: (...command) => Effect.flatMap(sendAll([command]), ([result]) => Effect.fromResult(result!)),
    scan: Effect.fnUntraced(function* (pattern, onKeys) {
      for (const node of current.nodes()) {
        let cursor = "0"
        do {
          const reply = yield* sendTo(node, ["SCAN", cursor, "MATCH", pattern, "COUNT", "1000"])
          const [next, keys] = reply as readonly [string, ReadonlyArray<string>]
          yield* onKeys(keys)
          cursor = next
        } while (cursor !== "0")
      }
    }),
    broken: ({ cause }) => broken(cause),
    problem: Effect.sync(() => (away.isTotal ? "the metadata store does not respond" : undefined))
  }
})

/** Checks the nodes for as long as the scope is open, and replaces the client with `renew` while one of them is away. */
export const watchNodes = Effect.fnUntraced(function* (
  client: () => RedisClients.Client,
  renew: Effect.Effect<RedisClients.Client, unknown>,
  failed: Queue.Dequeue<void>,
  probe: string
) {
  const state: { away: ReadonlyArray<string>; isTotal: boolean } = { away: [], isTotal: false }

  /** A node that says that another one has the key is well; one that says that its cluster is down is not. */
  const isWell = (node: RedisClients.Node) =>
    Effect.match(sendTo(node, ["HMGET", probe, "0"]), {
      onSuccess: () => true,
      onFailure: ({ reply }) => /^(MOVED|ASK) /.test(reply)
    })

  const check = Effect.gen(function* () {
    const nodes = client().nodes()
    const well = yield* Effect.forEach(nodes, isWell, { concurrency: "unbounded" })
    const away = nodes.filter((_, index) => !well[index]).map(({ address }) => address)
    yield* Metric.modify(MetadataStoreMetrics.nodesAway, away.length - state.away.length)
    if (away.length > 0 && state.away.length === 0) {
      yield* Effect.annotateLogs(Effect.logWarning("metadata store away"), { nodes: away.join(", ") })
    }
    if (away.length === 0 && state.away.length > 0) yield* Effect.logInfo("metadata store back")
    Object.assign(state, { away, isTotal: away.length === nodes.length })
  })

  const replace = Effect.gen(function* () {
    const old = yield* Effect.option(renew)
    if (Option.isNone(old)) return
    yield* Effect.forkDetach(retire(old.value))
    yield* check
  })

  const watch = Effect.gen(function* () {
    yield* check
    if (state.away.length > 0) yield* Effect.repeat(replace, { while: () => state.away.length > 0, schedule: backoff })
    yield* Effect.timeoutOption(Queue.take(failed), interval)
  })
  yield* Effect.addFinalizer(() => Metric.modify(MetadataStoreMetrics.nodesAway, -state.away.length))
  yield* Effect.forkScoped(Effect.forever(watch))
  return state
})

const sendTo = (node: RedisClients.Node, command: RedisClients.Command) =>
  Effect.tryPromise({ try: () => node.send(command), catch: (cause) => new CommandFailed({ cause }) }).pipe(
    Effect.timeoutOrElse({ duration: responseTimeout, orElse: () => Effect.fromResult(noResponse) })
  )

const noResponse = Result.fail(new CommandFailed({ cause: new Error("no response in time") }))

const hasNoReply = (result: Result.Result<unknown, CommandFailed>) =>
  Result.isFailure(result) && result.failure.reply === ""

/** Closes a client once its commands have finished, or have had the time for that. */
const retire = (client: RedisClients.Client) =>
  Effect.promise(() => client.close().catch(() => {})).pipe(
    Effect.timeoutOption(responseTimeout),
    Effect.andThen(Effect.sync(client.destroy))
  )
