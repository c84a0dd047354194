/**
 * The calls of the agent API over the original's protocol, with the handlers of {@link AgentApi}.
 *
 * - A message is converted to the contract's request, and the contract decides whether it is valid. The result is
 *   converted back.
 * - An error has the message of the contract's error, and code 0; code 12 if the call is not served. The transport hides
 *   the cause of a defect.
 * - Calls above the maximum that may run wait for their turn, each on its stream and not decoded: a message can become a
 *   hundred times as large. A large message is not decoded in the turn of the event loop that has read it.
 * - Each call counts against the call rate of the agent: that of a stream once, and one with an invalid message, too.
 * - A call fails if its response is larger than a message may be. The failure is logged and counted.
 * - A report is decoded and added in one pass, at once unless it is large. A report that has to fail takes the ordinary
 *   path.
 * - A statistics report is made acceptable first, because an error would end the connection of the agent.
 */
import { create, type DescMessage, type DescMethodUnary, type MessageShape } from "@bufbuild/protobuf"
import { Effect, identity, Option, Schema } from "effect"
import { type Rpc, RpcSerialization } from "effect/rpc"
import * as Tracing from "../../domain/Tracing.ts"
import * as FailureMetrics from "../../telemetry/FailureMetrics.ts"
import * as DrpcMultiplexer from "../../wire/DrpcMultiplexer.ts"
import { maxPacketBytes } from "../../wire/DrpcFrame.ts"
import * as FieldCount from "../../wire/FieldCount.ts"
import { Agent, ManifestSchema } from "../../wire/generated/agent_pb.ts"
import { DERPMapSchema } from "../../wire/generated/tailnet_pb.ts"
import { AgentApi } from "../AgentApi.ts"
import type { AgentSocket } from "../AgentSockets.ts"
import * as Metadata from "../calls/Metadata.ts"
import * as SessionCalls from "../internal/sessionCalls.ts"
import { TailnetCalls } from "../ports/TailnetCalls.ts"
import type { AgentSession } from "../session/AgentSession.ts"
import { type JsonObject, toContract, toMessage } from "./Conversion.ts"
import * as DerpMapMessage from "./DerpMapMessage.ts"
import * as MetadataReport from "./MetadataReport.ts"
import * as StatsReport from "./StatsReport.ts"

/** The connection of an agent in the original's protocol. */
export interface Connection extends AgentSocket {
  /** Waits until the agent has taken its replies. */
  readonly drained: Effect.Effect<void>
}

/** The additional conversions of a call whose request or result is not only converted field by field. */
interface Exceptions {
  readonly request?: (json: JsonObject) => JsonObject
  readonly response?: (json: JsonObject) => MessageShape<DescMessage>
}

/** Makes the handlers of all calls of an agent. */
export const make = Effect.gen(function* () {
  const services = yield* Effect.context<Rpc.ToHandler<SessionCalls.AgentCall>>()
  const isTraced = Tracing.isEnabled(services)
  const tailnet = yield* TailnetCalls
  const { addValid } = yield* Metadata.make

  const exceptions: { readonly [tag: string]: Exceptions } = {
    UpdateStats: { request: StatsReport.acceptable },
    GetManifest: {
      response: ({ derp_map, ...rest }) =>
        Object.assign(toMessage(ManifestSchema, rest), {
          derpMap: create(DERPMapSchema, DerpMapMessage.fromJson(derp_map as JsonObject))
        })
    }
  }

  const entryOf = Effect.fnUntraced(function* (rpc: SessionCalls.AgentCall, method: DescMethodUnary) {
    const handle = yield* SessionCalls.handlerOf(rpc._tag)
    const encode = Schema.encodeUnknownEffect(RpcSerialization.json.codecFor(rpc.successSchema))
    const { request = identity, response = (json: JsonObject) => toMessage(method.output, json) }: Exceptions =
      exceptions[rpc._tag] ?? {}

    const run = (message: MessageShape<DescMessage>, session: AgentSession["Service"]) =>
      handle(session, request(toContract(method.input, message))).pipe(
        Effect.mapError(
          ({ _tag, message }) =>
            new DrpcMultiplexer.DrpcError({
              code: _tag === "NotServed" ? DrpcMultiplexer.unimplemented.code : 0,
              message
            })
        ),
        Effect.flatMap((result) => Effect.orDie(encode(result))),
        Effect.map((json) => response(json as JsonObject)),
        isTraced ? Effect.withSpan(`RpcServer.${rpc._tag}`, { kind: "server" }) : identity
      )

    return withinLimit(
      rpc._tag,
      DrpcMultiplexer.unary(method, (message, { session }: Connection) => run(message, session))
    )
  })

  /** Adds a valid report in one pass. An invalid report takes the ordinary path, which returns the error. */
  const reportOf = ({
    handler: ordinary,
    name
  }: DrpcMultiplexer.UnaryEntry<Connection>): DrpcMultiplexer.UnaryEntry<Connection> => ({
    name,
    handler: {
      _tag: "Unary",
      handle: (bytes, agentSocket) => {
        const report = FieldCount.isBelowLimit(bytes) ? decodeReport(bytes) : Option.none()
        if (Option.isNone(report)) return ordinary.handle(bytes, agentSocket)
        return addValid(agentSocket.session, report.value).pipe(
          Effect.onError((cause) => countFailure(cause)),
          Effect.flatMap((dropped) => (dropped < 0 ? ordinary.handle(bytes, agentSocket) : nothing))
        )
      }
    }
  })

  const entries = tailnet.entries
    .map(DrpcMultiplexer.contramap(({ session }: Connection) => session))
    .map((entry) => (isUnary(entry) ? inTurn(entry) : entry))
  for (const rpc of AgentApi.requests.values()) {
    const method = Agent.methods.find(({ name }) => name === rpc._tag) as DescMethodUnary
    const entry = yield* entryOf(rpc, method)
    if (rpc._tag !== Metadata.BatchUpdateMetadata._tag || isTraced) entries.push(inTurn(entry))
    else entries.push(bySize(reportOf(inTurn(entry)), inTurn(reportOf(entry))))
  }
  const counted = DrpcMultiplexer.contramap((agentSocket: Connection) => {
    agentSocket.rateLimiter.consumeUnsafe()
    return agentSocket
  })
  return DrpcMultiplexer.make(entries.map(counted))
})

// ----- internals -----

const isUnary = (entry: DrpcMultiplexer.Entry<Connection>): entry is DrpcMultiplexer.UnaryEntry<Connection> =>
  entry.handler._tag === "Unary"

/** A message of more bytes is decoded in a later turn of the event loop. */
const maxBytesAtOnce = 4_096

/** Fails a call whose response a client cannot read. */
const withinLimit = (
  call: string,
  { handler, name }: DrpcMultiplexer.UnaryEntry<Connection>
): DrpcMultiplexer.UnaryEntry<Connection> => ({
  name,
  handler: {
    _tag: "Unary",
    handle: (bytes, connection) =>
      Effect.flatMap(handler.handle(bytes, connection), (response) => {
        if (response.length <= maxPacketBytes) return Effect.succeed(response)
        const message = `the response has ${response.length} bytes: a message of the protocol has at most ${maxPacketBytes}`
        const { agentId, workspace } = connection.session.identity
        return Effect.logError("response too large for the protocol").pipe(
          Effect.annotateLogs({ call, agentId, workspaceId: workspace.id, bytes: response.length }),
          Effect.andThen(FailureMetrics.callFailed(call, "ResponseTooLarge")),
          Effect.andThen(Effect.fail(new DrpcMultiplexer.DrpcError({ code: 0, message })))
        )
      })
  }
})

/** Lets calls wait before they are decoded: one message of the connection may hold more calls than may run. */
const inTurn = ({ handler, name }: DrpcMultiplexer.UnaryEntry<Connection>): DrpcMultiplexer.UnaryEntry<Connection> => ({
  name,
  handler: {
    _tag: "Unary",
    handle: (bytes, connection) => {
      const ready =
        bytes.length > maxBytesAtOnce ? Effect.andThen(connection.drained, Effect.yieldNow) : connection.drained
      return connection.callGate.inTurn(
        Effect.andThen(
          ready,
          Effect.suspend(() => handler.handle(bytes, connection))
        )
      )
    }
  }
})

/** Takes small messages by one handler, and large ones by the other. */
const bySize = (
  small: DrpcMultiplexer.UnaryEntry<Connection>,
  large: DrpcMultiplexer.UnaryEntry<Connection>
): DrpcMultiplexer.UnaryEntry<Connection> => ({
  name: small.name,
  handler: {
    _tag: "Unary",
    handle: (bytes, connection) => (bytes.length > maxBytesAtOnce ? large : small).handler.handle(bytes, connection)
  }
})

const nothing = Effect.succeed(new Uint8Array(0))

const countFailure = SessionCalls.countFailure(Metadata.BatchUpdateMetadata._tag)

const decodeReport = Option.liftThrowable(MetadataReport.decode)
