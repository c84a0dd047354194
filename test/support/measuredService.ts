/**
 * The service as a process that counts its resources: on SIGUSR2 it prints them in one line, after a collection of
 * garbage.
 *
 * It is set up by the environment, as `serve` is, and prints its address and the token of its administrator.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Exit, Layer, Metric, Option, Queue, Redacted } from "effect"
import { HttpServer } from "effect/http"
import { NetAddress } from "effect/net"
import * as Diagnostics from "node:diagnostics_channel"
import type { Socket } from "node:net"
import { connectedAgents } from "../../src/agentapi/AgentMetrics.ts"
import * as Config from "../../src/Config.ts"
import * as Administrator from "../../src/admin/Administrator.ts"
import * as PubSubMetrics from "../../src/pubsub/PubSubMetrics.ts"
import * as Server from "../../src/Server.ts"
import * as Logging from "../../src/telemetry/Logging.ts"
import type { Held } from "./held.ts"

let fibers = 0

const counting: Metric.FiberRuntimeMetricsService = {
  recordFiberStart: () => void fibers++,
  recordFiberEnd: () => void fibers--
}

let clients = 0

Diagnostics.subscribe("net.server.socket", (message) => {
  clients++
  ;(message as { readonly socket: Socket }).socket.once("close", () => clients--)
})

const held = Effect.map(Effect.context<never>(), (context): Held => {
  globalThis.gc!()
  const resources = process.getActiveResourcesInfo()
  const count = (kind: string) => resources.filter((resource) => resource === kind).length
  return {
    fibers,
    timers: count("Timeout"),
    clients,
    databaseConnections: count("TCPSocketWrap") - clients,
    channels: PubSubMetrics.currentEvents.valueUnsafe(context).value,
    subscribers: PubSubMetrics.currentSubscribers.valueUnsafe(context).value,
    connectedAgents: connectedAgents.valueUnsafe(context).value,
    heap: Math.round(process.memoryUsage().heapUsed / 2 ** 20)
  }
})

/** The times that it was asked. */
const asked = Effect.gen(function* () {
  const times = yield* Queue.unbounded<void>()
  const ask = () => Queue.offerUnsafe(times, undefined)
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGUSR2", ask)),
    (process) => Effect.sync(() => process.off("SIGUSR2", ask))
  )
  return times
})

const program = Effect.gen(function* () {
  const settings = yield* Config.read({})
  return yield* Effect.gen(function* () {
    const token = Option.getOrThrow(yield* Administrator.ensure(settings.adminToken))
    const times = yield* asked
    const { address } = yield* HttpServer.HttpServer
    yield* Console.log(`ready at ${NetAddress.formatUrlUnsafe(address)} with ${Redacted.value(token)}`)
    return yield* Effect.forever(
      Effect.andThen(
        Queue.take(times),
        Effect.flatMap(held, (held) => Console.log(`held ${JSON.stringify(held)}`))
      )
    )
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.provide(Server.layer(settings), Logging.layer({ format: "json", level: "Warn" })))
  )
})

program.pipe(
  Effect.provideService(Metric.FiberRuntimeMetrics, counting),
  NodeRuntime.runMain({ teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : 1) })
)
