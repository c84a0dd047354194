/**
 * Agents that do nothing but report, over bare WebSockets: what a process at least needs to make reports.
 *
 * The time of a report is that from its sending to its answer. An answer that is no success ends the work with it.
 */
import { Data, Deferred, Duration, Effect, Schedule, type Scope } from "effect"
import type { RpcMessage } from "effect/rpc"
import * as Crypto from "node:crypto"
import { WebSocket } from "ws"
import * as Token from "../../../src/access/Token.ts"
import { BatchUpdateMetadata } from "../../../src/agentapi/Metadata.ts"
import { path } from "../../../src/agentapi/ConnectApi.ts"
import type { Report } from "../Workload.ts"

export class FleetError extends Data.TaggedError("FleetError")<{ readonly detail: string }> {
  override get message() {
    return this.detail
  }
}

export interface Outcome {
  readonly reports: number
  readonly millis: number
  /** The time within which such a part of the reports was answered, in milliseconds. */
  readonly quantile: (part: number) => number
}

export interface Fleet {
  /** Each agent reports again as soon as it has its answer. */
  readonly press: (duration: Duration.Input) => Effect.Effect<Outcome, FleetError>
  /** The agents report in turn, so often in a second all together, whether there are answers or not. */
  readonly pace: (perSecond: number, duration: Duration.Input) => Effect.Effect<Outcome, FleetError>
}

interface Agent {
  readonly socket: WebSocket
  readonly request: RpcMessage.RequestEncoded
}

const requestOf = ({ entries }: Report): RpcMessage.RequestEncoded => ({
  _tag: "Request",
  id: 0,
  tag: BatchUpdateMetadata._tag,
  payload: { metadata: entries.map(({ error, key, value }) => ({ key, result: { value, error } })) },
  headers: []
})

const open = (url: string): Effect.Effect<WebSocket, FleetError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback((resume) => {
      const socket = new WebSocket(new URL(path, url.replace("http", "ws")), {
        headers: { [Token.header]: Crypto.randomBytes(32).toString("base64url") },
        perMessageDeflate: false
      })
      socket.once("open", () => resume(Effect.succeed(socket)))
      socket.once("error", ({ message }) =>
        resume(Effect.fail(new FleetError({ detail: `cannot connect: ${message}` })))
      )
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )

/** Connects an agent for each of the reports, which is the one that it makes again and again. */
export const connect = Effect.fnUntraced(function* (
  url: string,
  reports: ReadonlyArray<Report>
): Effect.fn.Return<Fleet, FleetError, Scope.Scope> {
  const agents = yield* Effect.forEach(
    reports,
    (report) => Effect.map(open(url), (socket): Agent => ({ socket, request: requestOf(report) })),
    { concurrency: 50 }
  )
  const sentAt = new Map<RpcMessage.RequestEncoded["id"], number>()
  let nextId = 0

  const send = ({ request, socket }: Agent) => {
    const id = nextId++
    sentAt.set(id, performance.now())
    socket.send(JSON.stringify({ ...request, id }))
  }

  /** Runs `drive` for so long, then waits for the answers that are missing. */
  const work = (
    duration: Duration.Input,
    drive: Effect.Effect<unknown>,
    onAnswer: (agent: Agent) => void
  ): Effect.Effect<Outcome, FleetError> =>
    Effect.gen(function* () {
      const answered = yield* Deferred.make<void, FleetError>()
      const millis: Array<number> = []
      let isOver = false

      const take = (agent: Agent, data: WebSocket.RawData) => {
        const { exit, requestId } = JSON.parse(String(data)) as RpcMessage.ResponseExitEncoded
        if (exit?._tag !== "Success") {
          return Deferred.doneUnsafe(answered, Effect.fail(new FleetError({ detail: `refused: ${String(data)}` })))
        }
        millis.push(performance.now() - sentAt.get(requestId)!)
        sentAt.delete(requestId)
        if (!isOver) onAnswer(agent)
        else if (sentAt.size === 0) Deferred.doneUnsafe(answered, Effect.void)
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => agents.map((agent) => agent.socket.on("message", (data) => take(agent, data)))),
        (sockets) => Effect.sync(() => sockets.forEach((socket) => socket.removeAllListeners("message")))
      )

      const [elapsed] = yield* Effect.timed(
        Effect.gen(function* () {
          yield* Effect.raceFirst(Effect.timeoutOption(drive, duration), Deferred.await(answered))
          isOver = true
          if (sentAt.size > 0) yield* Deferred.await(answered)
        })
      )
      millis.sort((a, b) => a - b)
      return {
        reports: millis.length,
        millis: Duration.toMillis(elapsed),
        quantile: (part: number) => millis[Math.min(millis.length - 1, Math.floor(part * millis.length))] ?? Number.NaN
      }
    }).pipe(Effect.scoped)

  return {
    press: (duration) =>
      work(
        duration,
        Effect.andThen(
          Effect.sync(() => agents.forEach(send)),
          Effect.never
        ),
        send
      ),
    pace: (perSecond, duration) =>
      Effect.suspend(() => {
        const began = performance.now()
        let sent = 0
        const sendDue = Effect.sync(() => {
          for (; sent < ((performance.now() - began) / 1_000) * perSecond; sent++) send(agents[sent % agents.length]!)
        })
        return work(duration, Effect.repeat(sendDue, Schedule.spaced("1 millis")), () => {})
      })
  }
})
