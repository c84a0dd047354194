/**
 * The process that agents report to: `routes` serves those of the service, `plain` does the least that a server can do
 * with the same frames.
 *
 * Both decode reports by the same schema, cut them by the same rules and give them to the same batcher, which writes to
 * nothing. The process prints its address, tells what it has done so far when asked, and ends with its standard input.
 */
// as the service does
import "../../../src/platform/NoPretenuring.ts"
import "effect/schema/SchemaJITCompiler/enable"
import { NodeCrypto, NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, DateTime, Effect, Layer, References, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { NetAddress } from "effect/net"
import { type RpcMessage, RpcSerialization } from "effect/rpc"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { WebSocketServer } from "ws"
import * as Access from "../../../src/access/Access.ts"
import { AccessStore } from "../../../src/access/AccessStore.ts"
import { BatchUpdateMetadataRequest, samplesOf } from "../../../src/agentapi/calls/Metadata.ts"
import * as Revocations from "../../../src/access/Revocations.ts"
import * as AgentRoutes from "../../../src/agentapi/AgentRoutes.ts"
import * as MetadataBatcher from "../../../src/metadata/MetadataBatcher.ts"
import * as MetadataReport from "../../../src/domain/MetadataReport.ts"
import { ByteWebSocket } from "../../../src/platform/ByteWebSocket.ts"
import * as PubSub from "../../../src/pubsub/PubSub.ts"
import * as AgentApi from "../../support/agentApi.ts"
import { identity } from "../../support/identity.ts"
import * as BatchSink from "../BatchSink.ts"
import * as Workload from "../Workload.ts"
import * as Usage from "./Usage.ts"

const host = "127.0.0.1"

// the settings of the service
const batcher = MetadataBatcher.layer({ maxPending: 100_000, onWriteFailure: "retain" }).pipe(
  Layer.provide(BatchSink.layer(BatchSink.make()))
)

/** Every token is that of an agent of its own. */
const accessStore = Layer.sync(AccessStore, () => {
  const agents = Workload.agents(10_000)
  let next = 0
  return {
    agents: (digests) =>
      Effect.sync(() => digests.map((digest) => ({ subject: identity(agents[next++ % agents.length]!), digest }))),
    users: () => Effect.succeed([]),
    ownerships: () => Effect.succeed([])
  }
})

const routes = HttpRouter.serve(
  Layer.mergeAll(
    AgentRoutes.layer(),
    HttpRouter.add("GET", Usage.path, Effect.map(Usage.current, HttpServerResponse.jsonUnsafe)),
    HttpRouter.add("GET", Usage.memoryPath, Effect.map(Usage.memory, HttpServerResponse.jsonUnsafe))
  ),
  { disableLogger: true, disableListenLog: true }
).pipe(
  Layer.merge(
    Layer.effectDiscard(HttpServer.HttpServer.use(({ address }) => Console.log(NetAddress.formatUrlUnsafe(address))))
  ),
  Layer.provide(
    NodeHttpServer.layer(() => createServer(), {
      host,
      port: 0,
      gracefulShutdownTimeout: "100 millis",
      websocket: { WebSocket: ByteWebSocket }
    })
  ),
  Layer.provide([Access.layer, Revocations.layer]),
  Layer.provide([batcher, accessStore, AgentApi.layerPorts, PubSub.layerMemory, NodeCrypto.layer])
)

const decode = Schema.decodeUnknownSync(RpcSerialization.json.codecFor(BatchUpdateMetadataRequest))

/** `ws`, `JSON.parse` and the schema of a report: no routing, no tokens, no calls. */
const plain = Layer.effectDiscard(
  Effect.gen(function* () {
    const { add } = yield* MetadataBatcher.MetadataBatcher
    const run = Effect.runSyncWith(yield* Effect.context<never>())
    const agents = Workload.agents(10_000)
    const server = createServer(({ url }, response) =>
      response.end(
        JSON.stringify(run<Usage.Usage | Usage.Memory, never>(url === Usage.path ? Usage.current : Usage.memory))
      )
    )
    let next = 0
    new WebSocketServer({ server }).on("connection", (socket) => {
      const agentId = agents[next++ % agents.length]!
      socket.on("message", (message) => {
        const { id, payload } = JSON.parse(String(message)) as RpcMessage.RequestEncoded
        const { entries } = MetadataReport.accept(samplesOf(decode(payload)), run(DateTime.now), AgentApi.anyKey)
        run(add(agentId, entries))
        socket.send(JSON.stringify({ _tag: "Exit", requestId: id, exit: { _tag: "Success", value: {} } }))
      })
    })
    yield* Effect.callback<void>((resume) => void server.listen(0, host, () => resume(Effect.void)))
    yield* Effect.addFinalizer(() => Effect.sync(() => server.close().closeAllConnections()))
    yield* Console.log(`http://${host}:${(server.address() as AddressInfo).port}`)
  })
).pipe(Layer.provide(batcher))

const end = Effect.callback<void>((resume) => {
  process.stdin.on("end", () => resume(Effect.void)).resume()
})

Effect.raceFirst(Layer.launch(process.argv[2] === "plain" ? plain : routes), end).pipe(
  Effect.provideService(References.TracerEnabled, false),
  NodeRuntime.runMain
)
