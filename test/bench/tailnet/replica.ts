/**
 * A process with a coordinator and its peers, which make requests of it by encoded messages and read encoded responses, as
 * they do over a connection.
 *
 * The id of a node is the time at which its peer sent it, so that its partner knows how old it is, in whichever process of
 * this machine they are. The process prints its address once its peers have their tunnels, and ends with its standard
 * input.
 */
// as the service does
import "../../../src/platform/NoPretenuring.ts"
import "effect/schema/SchemaJITCompiler/enable"
import { create, toBinary } from "@bufbuild/protobuf"
import { NodeCrypto, NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Logger, Queue, Redacted, References, Result, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { NetAddress } from "effect/net"
import { createServer } from "node:http"
import { getHeapStatistics } from "node:v8"
import * as Replica from "../../../src/domain/Replica.ts"
import * as PgPubSub from "../../../src/pubsub/PgPubSub.ts"
import * as PgCoordinatorStore from "../../../src/storage/PgCoordinatorStore.ts"
import * as Postgres from "../../../src/storage/Postgres.ts"
import * as Authority from "../../../src/tailnet/Authority.ts"
import * as Coordinator from "../../../src/tailnet/Coordinator.ts"
import { decodeRequest, encodeResponse } from "../../../src/tailnet/internal/messages.ts"
import { PeerId, type Response } from "../../../src/tailnet/Peer.ts"
import * as ReplicatedCoordinator from "../../../src/tailnet/ReplicatedCoordinator.ts"
import { CoordinateRequestSchema } from "../../../src/wire/generated/tailnet_pb.ts"
import * as Protocol from "./Protocol.ts"

/** Later than the start of any machine, so that every time has the same number of bytes. */
const epoch = 1n << 50n
const timeBytes = 8

const idOf = (kind: "a" | "c", number: number): PeerId =>
  PeerId.make(`${kind.repeat(8)}-0000-4000-8000-${String(number).padStart(12, "0")}`)

/** The request of a node of a usual size, and where in it the time of its sending is. */
const updateOf = (number: number): { readonly bytes: Uint8Array; readonly timeAt: number } => {
  const node = {
    id: epoch,
    key: new Uint8Array(34).fill(number % 256),
    disco: `discokey:${number.toString(16).padStart(64, "0")}`,
    preferredDerp: 999,
    derpLatency: { "998-v4": 0.01, "999-v4": 0.02 },
    addresses: [`fd7a:115c:a1e0::${(number & 0xffff).toString(16)}/128`],
    allowedIps: [`fd7a:115c:a1e0::${(number & 0xffff).toString(16)}/128`],
    endpoints: ["192.0.2.1:41641", "10.0.0.2:41641", "[2001:db8::1]:41641"]
  }
  const bytes = toBinary(CoordinateRequestSchema, create(CoordinateRequestSchema, { updateSelf: { node } }))
  const time = Buffer.alloc(timeBytes)
  writeTime(time, 0, epoch)
  return { bytes, timeAt: Buffer.from(bytes).indexOf(time) }
}

const writeTime = (bytes: Uint8Array, at: number, time: bigint) => {
  for (let index = 0; index < timeBytes; index++) {
    const isLast = index === timeBytes - 1
    bytes[at + index] = Number((time >> BigInt(7 * index)) & 127n) | (isLast ? 0 : 128)
  }
}

const readTime = (bytes: Uint8Array, at: number): bigint => {
  let time = 0n
  for (let index = 0; index < timeBytes; index++) time |= BigInt(bytes[at + index]! & 127) << BigInt(7 * index)
  return time
}

/** All that was told to the peers of this process. */
const told = { count: 0, latencies: [] as Array<number> }

const read = (response: Response) => {
  encodeResponse(response)
  const now = epoch + process.hrtime.bigint()
  for (const { node } of response.updates) {
    if (node === undefined) continue
    told.count++
    // behind the tag of the first field
    told.latencies.push(Number(now - readTime(node.bytes, 1)) / 1e6)
  }
}

/** A peer whose responses are read as they come. */
const connect = Effect.fnUntraced(function* (id: PeerId, number: number) {
  const coordinator = yield* Coordinator.Coordinator
  const stream = yield* coordinator.connect({ id, name: id, authority: Authority.all })
  yield* Effect.forkScoped(Effect.ignore(Effect.forever(Effect.map(Queue.take(stream.responses), read))))
  const { bytes, timeAt } = updateOf(number)
  return {
    update: Effect.suspend(() => {
      const message = bytes.slice()
      writeTime(message, timeAt, epoch + process.hrtime.bigint())
      return stream.send(Result.getOrThrow(decodeRequest(message)))
    }),
    addTunnel: (to: PeerId) => stream.send({ addTunnel: to })
  }
})

/** The agents of a client: those of another replica where there are two. */
const agentsOf = ({ agents, replicas, tunnelsPerClient }: Protocol.Settings, client: number): ReadonlyArray<PeerId> =>
  Array.from({ length: tunnelsPerClient }, (_, index) => {
    const nth = Math.floor(client / replicas) * tunnelsPerClient + index
    return idOf("a", (nth * replicas + ((client + 1) % replicas)) % agents)
  })

const connectAll = Effect.fnUntraced(function* (settings: Protocol.Settings) {
  const { agents, clients, replica, replicas } = settings
  const own = (count: number) => Array.from({ length: count }, (_, number) => number).filter(isOwn)
  const isOwn = (number: number) => number % replicas === replica
  globalThis.gc?.()
  const before = getHeapStatistics().used_heap_size
  const connected = yield* Effect.forEach(own(agents), (number) => connect(idOf("a", number), number))
  const connectedClients = yield* Effect.forEach(
    own(clients),
    Effect.fnUntraced(function* (number) {
      const client = yield* connect(idOf("c", number), number)
      yield* Effect.forEach(agentsOf(settings, number), client.addTunnel, { discard: true })
      return client
    })
  )
  const peers = [...connected, ...connectedClients]
  yield* Effect.forEach(peers, ({ update }) => update, { discard: true })
  const state = Effect.sync((): Protocol.State => {
    globalThis.gc?.()
    return {
      peers: peers.length,
      told: told.count,
      bytesPerPeer: (getHeapStatistics().used_heap_size - before) / peers.length
    }
  })
  return { peers, state }
})

const tick = 5

/** The peers update their nodes in turn, so often in a second all together. */
const pace = Effect.fnUntraced(function* (
  peers: Effect.Success<ReturnType<typeof connectAll>>["peers"],
  perSecond: number,
  millis: number
) {
  told.latencies.length = 0
  const start = performance.now()
  const { system, user } = process.cpuUsage()
  let updates = 0
  while (performance.now() - start < millis) {
    for (const due = ((performance.now() - start) * perSecond) / 1_000; updates < due; updates++) {
      yield* peers[(updates * 7_919) % peers.length]!.update
    }
    yield* Effect.sleep(tick)
  }
  const cpu = process.cpuUsage({ system, user })
  const took = performance.now() - start
  // the last updates are on their way
  yield* Effect.sleep(Math.min(1_000, millis))
  const outcome: Protocol.Outcome = {
    updates,
    millis: took,
    cpuMillis: (cpu.system + cpu.user) / 1_000,
    latencies: told.latencies.toSorted((one, other) => one - other)
  }
  return outcome
})

const routes = Effect.fnUntraced(function* (settings: Protocol.Settings) {
  const { peers, state } = yield* connectAll(settings)
  const measured = Effect.gen(function* () {
    const { url } = yield* HttpServerRequest.HttpServerRequest
    const query = new URL(url, "http://localhost").searchParams
    return HttpServerResponse.jsonUnsafe(
      yield* pace(peers, Number(query.get("perSecond")), Number(query.get("millis")))
    )
  })
  return HttpRouter.serve(
    Layer.mergeAll(
      HttpRouter.add("GET", Protocol.statePath, Effect.map(state, HttpServerResponse.jsonUnsafe)),
      HttpRouter.add("GET", Protocol.pacePath, measured)
    ),
    { disableLogger: true, disableListenLog: true }
  ).pipe(
    Layer.merge(
      Layer.effectDiscard(HttpServer.HttpServer.use(({ address }) => Console.log(NetAddress.formatUrlUnsafe(address))))
    ),
    Layer.provide(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 }))
  )
})

const coordinator = ({ databaseUrl }: Protocol.Settings) =>
  databaseUrl === undefined
    ? Coordinator.layerMemory()
    : ReplicatedCoordinator.layer().pipe(
        Layer.provide([PgCoordinatorStore.layer(), PgPubSub.layer(), Replica.layer]),
        Layer.provide([Postgres.layer({ url: Redacted.make(databaseUrl) }), NodeCrypto.layer])
      )

const end = Effect.callback<void>((resume) => {
  process.stdin.on("end", () => resume(Effect.void)).resume()
})

const main = Effect.gen(function* () {
  const settings = yield* Schema.decodeUnknownEffect(Protocol.Settings)(process.argv[2])
  const serving = Layer.launch(Layer.provide(Layer.unwrap(routes(settings)), coordinator(settings)))
  yield* Effect.raceFirst(serving, end)
})

main.pipe(
  Effect.provideService(References.TracerEnabled, false),
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  Effect.provideService(Logger.LogToStderr, true),
  NodeRuntime.runMain
)
