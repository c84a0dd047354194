/**
 * Agents that number their samples and enter the accepted ones into the ledger.
 *
 * An agent that loses its connection, or gets no answer, asks for an address and connects again.
 */
import { type Cause, Clock, Effect, FiberSet, Queue, Random, Ref } from "effect"
import * as Token from "../../src/access/Token.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import * as SimulatedAgent from "../../src/fleet/SimulatedAgent.ts"
import { Agent as Api } from "../../src/wire/generated/agent_pb.ts"
import * as Agent from "../support/agent.ts"
import * as Client from "../support/client.ts"
import * as WireAgent from "../support/wireAgent.ts"
import type { Ledger } from "./Ledger.ts"
import * as Replica from "./Replica.ts"

export interface Options {
  readonly ledger: Ledger
  /** The replica over which the agents are created. */
  readonly url: string
  readonly agents: number
  readonly keys: number
}

export interface Load {
  /** The replica that an agent connects to, asked for each connection. */
  readonly to: (agent: number) => string
  /** Milliseconds between two reports. */
  readonly every: number
  /** The number of reports after which an agent connects anew; by default it never does so by itself. */
  readonly hopAfter?: number | undefined
  /** How many of the agents report; by default all. */
  readonly only?: number | undefined
  /** The text behind the number in each value. */
  readonly padding?: string | undefined
  /** Whether agents start at random within `every`, and wait a second or two before they connect again. */
  readonly spread?: boolean | undefined
  /** The protocol of the connections; by default that of `FAULTS_PROTOCOL`, or the contract in JSON. */
  readonly protocol?: SimulatedAgent.Protocol | undefined
}

export interface Member {
  readonly index: number
  readonly id: AgentId
  readonly token: string
}

const defaultProtocol = SimulatedAgent.protocols.find((name) => name === process.env["FAULTS_PROTOCOL"]) ?? "json"

const retryDelay = ({ spread = false }: Load) => (spread ? Random.nextBetween(500, 2_500) : Effect.succeed(200))

export type Fleet = Effect.Success<ReturnType<typeof make>>

export const make = Effect.fnUntraced(function* ({ agents, keys: count, ledger, url }: Options) {
  const keys = Array.from({ length: count }, (_, index) => `key-${index}`)
  const declared = yield* Client.agents(url, Replica.adminToken, agents, keys)
  const members = declared.map(({ id, token }, index): Member => ({ index, id, token }))
  const reports = yield* Ref.make(0)

  type Send = (number: number, value: string) => Effect.Effect<boolean, Cause.Done | WireAgent.Ended>

  /** Connects an agent, and returns how it sends a report. */
  const connect = Effect.fnUntraced(function* ({ protocol = defaultProtocol }: Load, url: string, token: string) {
    const headers = { [Token.header]: token }
    if (protocol === "json") {
      const connection = yield* Agent.connect(url, headers)
      const sendJson: Send = (number, value) =>
        connection.send(Agent.report(String(number), ...keys.map((key) => Agent.sample(key, value)))).pipe(
          Effect.andThen(Queue.take(connection.messages)),
          Effect.map((answer) => answer.includes('"Success"'))
        )
      return sendJson
    }
    const { call } = yield* WireAgent.connect(url, headers)
    const send: Send = (_, value) =>
      call(Api.method.batchUpdateMetadata, { metadata: keys.map((key) => ({ key, result: { value } })) }).pipe(
        Effect.as(true),
        Effect.catchTag("CallFailed", () => Effect.succeed(false))
      )
    return send
  })

  const session = Effect.fnUntraced(function* ({ id, index, token }: Member, load: Load) {
    const send = yield* connect(load, load.to(index), token)
    const report = Effect.gen(function* () {
      const number = ledger.next(id)
      const isAccepted = yield* Effect.timeout(send(number, `${number}${load.padding ?? ""}`), "10 seconds")
      if (!isAccepted) return
      yield* ledger.accept(id, keys, number)
      yield* Ref.update(reports, (count) => count + 1)
    })
    return yield* Effect.repeat(Effect.delay(report, load.every), { times: (load.hopAfter ?? Infinity) - 1 })
  }, Effect.scoped)

  /** Lets agents report while `self` runs. */
  const whileReporting = Effect.fnUntraced(function* <A, E, R>(load: Load, self: Effect.Effect<A, E, R>) {
    const fibers = yield* FiberSet.make()
    for (const member of members) {
      if (member.index >= (load.only ?? Infinity)) continue
      yield* FiberSet.run(
        fibers,
        session(member, load).pipe(
          Effect.catch(() => Effect.flatMap(retryDelay(load), Effect.sleep)),
          Effect.forever,
          Effect.delay(load.spread === true ? yield* Random.nextBetween(0, load.every) : 0)
        )
      )
    }
    return yield* self
  }, Effect.scoped)

  return {
    ids: members.map(({ id }) => id),
    members,
    keys,
    /** Reports that were accepted. */
    reports: Ref.get(reports),
    whileReporting,
    now: Clock.currentTimeMillis
  }
})
