/**
 * Agents that do nothing but report, over bare WebSockets: the least that a process needs to make reports.
 *
 * The time of a report is that from its sending to its response. A response other than a success ends the work with it.
 * The last value of a report is the time of its sending, in milliseconds of `performance.now`.
 */
import { Data, Deferred, Duration, Effect, Schedule, type Scope } from "effect"
import type { RpcMessage } from "effect/rpc"
import { monitorEventLoopDelay } from "node:perf_hooks"
import type { WebSocket } from "ws"
import { path, subprotocol } from "../../src/agentapi/AgentSocketApi.ts"
import { BatchUpdateMetadata } from "../../src/agentapi/calls/Metadata.ts"
import * as WebSockets from "./WebSockets.ts"
import * as WireLane from "./WireLane.ts"
import type { Report } from "./Workload.ts"

export class FleetError extends Data.TaggedError("FleetError")<{ readonly detail: string }> {
  override get message() {
    return this.detail
  }
}

export interface Outcome {
  /** The reports that were answered. */
  readonly reports: number
  /** The reports that had no answer when the fleet had waited long enough. */
  readonly unanswered: number
  readonly millis: number
  /** The time within which such a part of the reports was answered, in milliseconds. */
  readonly quantile: (part: number) => number
  /** The 99th percentile of the time by which the fleet itself was late, in milliseconds: times of answers contain it. */
  readonly lag: number
}

export interface Fleet {
  /** Each agent reports again as soon as it has its answer. */
  readonly press: (duration: Duration.Input) => Effect.Effect<Outcome, FleetError>
  /** The agents report in turn, so often in a second all together, whether there are answers or not. */
  readonly pace: (perSecond: number, duration: Duration.Input) => Effect.Effect<Outcome, FleetError>
  /** The agents do no more than keeps their connections alive. */
  readonly idle: (duration: Duration.Input) => Effect.Effect<Outcome>
}

/** Below which such a part of the values is; they come in their order. */
export const quantile = (sorted: ReadonlyArray<number>, part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN

/** An agent, and the report that it makes again and again. */
export interface Member {
  readonly token: string
  readonly report: Report
}

/** How reports and what answers them are written. */
export type Protocol = "JSON" | "original"

interface Lane {
  /** The messages that an agent sends as soon as it is connected. */
  readonly opening: ReadonlyArray<Uint8Array>
  /** The messages that an agent sends every 30 seconds. */
  readonly keepalive: () => ReadonlyArray<Uint8Array>
  readonly messages: (id: number, sentAt: number) => ReadonlyArray<string | Uint8Array>
  readonly take: (data: Buffer) => {
    readonly answered: ReadonlyArray<{ readonly id: number; readonly isSuccess: boolean }>
    readonly replies: ReadonlyArray<Uint8Array>
  }
}

/** The time for which a fleet waits for answers after its work. */
const longestWait: Duration.Input = "30 seconds"

interface Agent {
  readonly socket: WebSocket
  readonly lane: Lane
}

/** The report as it is sent, made of pieces: a fleet has better things to do than to write the same JSON again. */
const jsonLane = ({ entries }: Report): Lane => {
  const request: RpcMessage.RequestEncoded = {
    _tag: "Request",
    id: "@",
    tag: BatchUpdateMetadata._tag,
    payload: {
      metadata: entries.map(({ error, key, value }, index) => ({
        key,
        result: { value: index === entries.length - 1 ? "@" : value, error }
      }))
    },
    headers: []
  }
  const [start, middle, end] = JSON.stringify(request).split(`"@"`)
  return {
    opening: [],
    keepalive: () => [],
    messages: (id, sentAt) => [`${start}${id}${middle}"${sentAt.toFixed(3).padStart(20, "0")}"${end}`],
    take: (data) => {
      const { exit, requestId } = JSON.parse(String(data)) as RpcMessage.ResponseExitEncoded
      return { answered: [{ id: Number(requestId), isSuccess: exit?._tag === "Success" }], replies: [] }
    }
  }
}

/** Connects the members; they leave with the scope. */
export const connect = Effect.fnUntraced(function* (
  url: string,
  members: ReadonlyArray<Member>,
  protocol: Protocol = "JSON"
): Effect.fn.Return<Fleet, WebSockets.CannotConnect, Scope.Scope> {
  const agents = yield* Effect.forEach(
    members,
    ({ report, token }) =>
      Effect.map(WebSockets.open(url, path, token, protocol === "JSON" ? [subprotocol] : []), (socket): Agent => {
        return { socket, lane: protocol === "JSON" ? jsonLane(report) : WireLane.make(report) }
      }),
    { concurrency: 50 }
  )
  const sentAt = new Map<number, number>()
  let nextId = 0
  let onAnswers: (agent: Agent, answered: ReturnType<Lane["take"]>["answered"], data: Buffer) => void = () => {}

  for (const agent of agents) {
    agent.socket.on("message", (data: Buffer) => {
      const { answered, replies } = agent.lane.take(data)
      for (const reply of replies) agent.socket.send(reply)
      if (answered.length > 0) onAnswers(agent, answered, data)
    })
    for (const message of agent.lane.opening) agent.socket.send(message)
  }

  const send = ({ lane, socket }: Agent) => {
    const id = nextId++
    const now = performance.now()
    sentAt.set(id, now)
    for (const message of lane.messages(id, now)) socket.send(message)
  }

  /** Runs `drive` for so long, then waits for the answers that are missing, if it does not take too long. */
  const work = (
    duration: Duration.Input,
    drive: Effect.Effect<unknown>,
    onAnswer: (agent: Agent) => void
  ): Effect.Effect<Outcome, FleetError> =>
    Effect.gen(function* () {
      const answered = yield* Deferred.make<void, FleetError>()
      const millis: Array<number> = []
      let isOver = false

      onAnswers = (agent, all, data) => {
        for (const { id, isSuccess } of all) {
          if (!isSuccess) {
            return void Deferred.doneUnsafe(
              answered,
              Effect.fail(new FleetError({ detail: `refused: ${String(data)}` }))
            )
          }
          const sent = sentAt.get(id)
          // an answer that came too late for the work before
          if (sent === undefined) continue
          millis.push(performance.now() - sent)
          sentAt.delete(id)
          if (!isOver) onAnswer(agent)
          else if (sentAt.size === 0) Deferred.doneUnsafe(answered, Effect.void)
        }
      }

      const delays = monitorEventLoopDelay({ resolution: 1 })
      delays.enable()
      const [elapsed] = yield* Effect.timed(
        Effect.gen(function* () {
          yield* Effect.raceFirst(Effect.timeoutOption(drive, duration), Deferred.await(answered))
          isOver = true
          if (sentAt.size > 0) yield* Effect.timeoutOption(Deferred.await(answered), longestWait)
        })
      )
      delays.disable()
      const unanswered = sentAt.size
      sentAt.clear()
      millis.sort((a, b) => a - b)
      return {
        lag: delays.percentile(99) / 1e6,
        reports: millis.length,
        unanswered,
        millis: Duration.toMillis(elapsed),
        quantile: (part: number) => quantile(millis, part)
      }
    })

  return {
    press: (duration) =>
      work(
        duration,
        Effect.andThen(
          Effect.sync(() => agents.forEach(send)),
          Effect.never
        ),
        send
      ).pipe(
        Effect.filterOrFail(
          ({ unanswered }) => unanswered === 0,
          ({ unanswered }) => new FleetError({ detail: `${unanswered} reports had no answer` })
        )
      ),
    pace: (perSecond, duration) =>
      Effect.suspend(() => {
        const began = performance.now()
        let sent = 0
        const sendDue = Effect.sync(() => {
          for (; sent < ((performance.now() - began) / 1_000) * perSecond; sent++) send(agents[sent % agents.length]!)
        })
        return work(duration, Effect.repeat(sendDue, Schedule.spaced("1 millis")), () => {})
      }),
    idle: (duration) =>
      Effect.suspend(() => {
        const began = performance.now()
        let kept = 0
        const keepDue = Effect.sync(() => {
          for (; kept < ((performance.now() - began) / 30_000) * agents.length; kept++) {
            const { lane, socket } = agents[kept % agents.length]!
            for (const message of lane.keepalive()) socket.send(message)
          }
        })
        const keeping = Effect.timeoutOption(Effect.repeat(keepDue, Schedule.spaced("10 millis")), duration)
        return Effect.map(Effect.timed(keeping), ([elapsed]) => ({
          reports: 0,
          unanswered: 0,
          millis: Duration.toMillis(elapsed),
          quantile: () => Number.NaN,
          lag: Number.NaN
        }))
      })
  }
})
