/**
 * The process that agents report to: `routes` serves those of the service. `plain` and `frames` do the least that a
 * server can do with the same messages, of the contract in JSON and of the original's protocol.
 *
 * All decode reports as the service does, cut them by the same rules and give them to the same batcher, which writes to
 * nothing. The process prints its address, tells what it has done so far when asked, and ends with its standard input.
 */
// as the service does
import "../../../src/platform/NoPretenuring.ts"
import "effect/schema/SchemaJITCompiler/enable"
import { NodeCrypto, NodeFileSystem, NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, DateTime, Effect, Layer, References, Schema } from "effect"
import { Hex } from "effect/encoding"
import { FetchHttpClient, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { NetAddress } from "effect/net"
import { type RpcMessage, RpcSerialization } from "effect/rpc"
import { createServer } from "node:http"
import { type WebSocket, WebSocketServer } from "ws"
import * as Access from "../../../src/access/Access.ts"
import { AccessStore } from "../../../src/access/AccessStore.ts"
import { BatchUpdateMetadataRequest, samplesOf } from "../../../src/agentapi/calls/Metadata.ts"
import * as WireReport from "../../../src/agentapi/wire/MetadataReport.ts"
import * as Revocations from "../../../src/access/Revocations.ts"
import * as AgentRoutes from "../../../src/agentapi/AgentRoutes.ts"
import * as MetadataBatcher from "../../../src/metadata/MetadataBatcher.ts"
import * as MetadataReport from "../../../src/domain/MetadataReport.ts"
import { ByteWebSocket } from "../../../src/platform/ByteWebSocket.ts"
import * as PubSub from "../../../src/pubsub/PubSub.ts"
import * as AgentTailnet from "../../../src/tailnet/AgentTailnet.ts"
import * as Coordinator from "../../../src/tailnet/Coordinator.ts"
import * as DerpMaps from "../../../src/tailnet/DerpMaps.ts"
import * as NetworkTelemetry from "../../../src/tailnet/NetworkTelemetry.ts"
import * as ResumeTokens from "../../../src/tailnet/ResumeTokens.ts"
import * as WorkspaceUpdates from "../../../src/tailnet/WorkspaceUpdates.ts"
import * as DrpcFrame from "../../../src/wire/DrpcFrame.ts"
import { nameOf } from "../../../src/wire/DrpcMultiplexer.ts"
import { Agent } from "../../../src/wire/generated/agent_pb.ts"
import * as Yamux from "../../../src/wire/Yamux.ts"
import * as AgentApi from "../../support/agentApi.ts"
import { identity } from "../../support/identity.ts"
import { portOf } from "../../support/localServer.ts"
import * as Tailnet from "../../support/tailnet.ts"
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
  const numbers = new Map<string, number>()
  const numberOf = (digest: Uint8Array) => {
    const key = Hex.encode(digest)
    const number = numbers.get(key) ?? numbers.size
    numbers.set(key, number)
    return number
  }
  return {
    agents: (digests) =>
      Effect.sync(() =>
        digests.map((digest) => ({ subject: identity(agents[numberOf(digest) % agents.length]!), digest }))
      ),
    users: () => Effect.succeed([]),
    ownerships: () => Effect.succeed([])
  }
})

/** The tailnet of the service, in memory. */
const tailnet = AgentTailnet.layer.pipe(
  Layer.provide([
    Coordinator.layerMemory(),
    DerpMaps.layer(),
    NetworkTelemetry.layer(),
    ResumeTokens.layer,
    WorkspaceUpdates.layer
  ]),
  Layer.provide([Tailnet.layerPorts, NodeFileSystem.layer, FetchHttpClient.layer])
)

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
  Layer.provide([Access.layer, Revocations.layer, tailnet]),
  Layer.provide([batcher, accessStore, AgentApi.layerPorts, PubSub.layerMemory, NodeCrypto.layer])
)

/** Serves the connection of an agent whose reports `take` takes. */
type Bare = (socket: WebSocket, take: (report: BatchUpdateMetadataRequest) => void) => void

const decode = Schema.decodeUnknownSync(RpcSerialization.json.codecFor(BatchUpdateMetadataRequest))

/** `ws`, `JSON.parse` and the schema of a report: no routing, no tokens, no calls. */
const plain: Bare = (socket, take) => {
  socket.on("message", (message) => {
    const { id, payload } = JSON.parse(String(message)) as RpcMessage.RequestEncoded
    take(decode(payload))
    socket.send(JSON.stringify({ _tag: "Exit", requestId: id, exit: { _tag: "Success", value: {} } }))
  })
}

const ignore = () => {}
const textDecoder = new TextDecoder()
const reportName = nameOf(Agent.method.batchUpdateMetadata)
const empty = new Uint8Array(0)
const success = Buffer.concat([
  DrpcFrame.encode(DrpcFrame.Kind.message, 1, 1, empty),
  DrpcFrame.encode(DrpcFrame.Kind.closeSend, 1, 2, empty)
])

/** `ws`, the frames of yamux and dRPC, and the decoding of a report: no routing, no tokens, no calls but this one. */
const frames: Bare = (socket, take) => {
  const session = new Yamux.Session({
    send: (bytes) => socket.send(bytes),
    ended: ignore,
    refused: ignore,
    accept: (stream) => {
      const reader = DrpcFrame.makePacketReader()
      let isReport = false
      const takePacket = ({ body, kind }: DrpcFrame.Packet) => {
        if (kind === DrpcFrame.Kind.invoke) isReport = textDecoder.decode(body) === reportName
        else if (kind === DrpcFrame.Kind.message && isReport) {
          take(WireReport.decode(body))
          stream.write(success)
        }
        return true
      }
      return {
        data: (bytes) => {
          reader.read(bytes, takePacket)
          stream.consume(bytes.length)
        },
        ended: () => stream.end(),
        reset: ignore,
        drained: ignore,
        overdue: ignore
      }
    }
  })
  let received: Array<Uint8Array> = []
  socket.on("message", (message: Buffer) => {
    // all messages of a chunk of the connection are received together
    if (received.push(message) > 1) return
    process.nextTick(() => {
      session.receive(...received)
      received = []
    })
  })
}

const layerBare = (serve: Bare) =>
  Layer.effectDiscard(
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
        serve(socket, (report) => {
          const { entries } = MetadataReport.accept(samplesOf(report), run(DateTime.now), AgentApi.anyKey)
          run(add(agentId, entries))
        })
      })
      const port = yield* portOf(server, () => server.closeAllConnections())
      yield* Console.log(`http://${host}:${port}`)
    })
  ).pipe(Layer.provide(batcher))

const servers = { routes, plain: layerBare(plain), frames: layerBare(frames) }

const end = Effect.callback<void>((resume) => {
  process.stdin.on("end", () => resume(Effect.void)).resume()
})

Effect.raceFirst(Layer.launch(servers[process.argv[2] as keyof typeof servers]), end).pipe(
  Effect.provideService(References.TracerEnabled, false),
  NodeRuntime.runMain
)
