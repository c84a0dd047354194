/**
 * An agent of a test: one that calls through the client of the contract, and one that puts on the wire what it likes.
 */
import { NodeSocket } from "@effect/platform-node"
import { Effect, Layer, Queue, Schema } from "effect"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { AgentApi } from "../../src/agentapi/AgentApi.ts"
import { path, subprotocol } from "../../src/agentapi/AgentSocketApi.ts"
import * as WebSocket from "./webSocket.ts"

/** Calls the agent API over a connection that ends with the scope. */
export const client = Effect.fnUntraced(function* (url: string, headers: Readonly<Record<string, string>>) {
  const protocol = RpcClient.layerProtocolSocket().pipe(
    Layer.provide([
      RpcSerialization.layerJson,
      NodeSocket.layerWebSocket(`${url.replace(/^http/, "ws")}${path}`, { headers, protocols: subprotocol })
    ])
  )
  return yield* Effect.provideContext(RpcClient.make(AgentApi), yield* Layer.build(protocol))
})

/** Creates a sub-agent that has nothing but its name. */
export const createChild = ({ CreateSubAgent }: Effect.Success<ReturnType<typeof client>>) =>
  Effect.map(
    CreateSubAgent({
      name: "child",
      directory: "",
      architecture: "",
      operating_system: "",
      apps: [],
      display_apps: []
    }),
    ({ agent }) => agent
  )

/** A bare connection to where agents connect. `search` is what follows the path of the address. */
export const connect = (
  url: string,
  headers: Readonly<Record<string, string>> = {},
  { search = "", ...options }: WebSocket.Options & { readonly search?: string } = {}
) => WebSocket.connect(`${url}${path}${search}`, headers, { protocols: [subprotocol], ...options })

export const sample = (key: string, value = "", error = "") => ({ key, result: { value, error } })

/** The call of a report as it is on the wire. */
export const report = (id: string, ...metadata: ReadonlyArray<unknown>) =>
  JSON.stringify({ _tag: "Request", id, tag: "BatchUpdateMetadata", payload: { metadata }, headers: [] })

/** The answer to a report that was accepted. */
export const accepted = (id: string) => ({ _tag: "Exit", requestId: id, exit: { _tag: "Success", value: {} } })

/** The answer to a call that died. */
export const died = (id: string, defect: unknown) => ({
  _tag: "Exit",
  requestId: id,
  exit: { _tag: "Failure", cause: [{ _tag: "Die", defect }] }
})

/** Any answer to a call that died. */
export const defect = (answer: unknown) => Schema.decodeUnknownSync(Died)(answer)

const Died = Schema.Struct({
  requestId: Schema.String,
  exit: Schema.TaggedStruct("Failure", {
    cause: Schema.Tuple([Schema.TaggedStruct("Die", { defect: Schema.Unknown })])
  })
})

/** The error of a call that failed with one. */
export const refusal = (answer: unknown) => Schema.decodeUnknownSync(Refused)(answer).exit.cause[0].error

const Refused = Schema.Struct({
  exit: Schema.TaggedStruct("Failure", {
    cause: Schema.Tuple([
      Schema.TaggedStruct("Fail", {
        error: Schema.Struct({ _tag: Schema.String, field: Schema.String, problem: Schema.String })
      })
    ])
  })
})

/** Sends one frame and takes the next message. */
export const exchange = ({ messages, send }: WebSocket.Connection, frame: string | Uint8Array) =>
  Effect.map(Effect.andThen(send(frame), Queue.take(messages)), (text): unknown => JSON.parse(text))
