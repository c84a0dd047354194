/** A Redis cluster of three nodes on loopback, without replicas. Its nodes are killed with the scope. */
import { Effect, FileSystem, Schedule } from "effect"
import * as Path from "node:path"
import { createClient } from "redis"
import * as Brokers from "./brokers.ts"
import { freePort } from "./freePort.ts"
import { emptyFolder } from "./folder.ts"

export type RedisCluster = Effect.Success<ReturnType<typeof start>>

/** The number of slots of every cluster. */
const slots = 16_384

export interface Options {
  /** Further arguments of each node. */
  readonly args?: ReadonlyArray<string> | undefined
  /** The certificate of each node, by which it serves another port with TLS. */
  readonly certificates?: ReadonlyArray<Brokers.Certificates> | undefined
}

/** Starts a cluster and waits until all its nodes agree that it works. */
export const start = Effect.fnUntraced(function* ({ args = [], certificates = [] }: Options = {}) {
  const folder = yield* emptyFolder
  const fs = yield* FileSystem.FileSystem
  const nodes = yield* Effect.forEach([0, 1, 2], (index) =>
    Effect.gen(function* () {
      const [port, busPort] = [yield* freePort, yield* freePort]
      const own = Path.join(folder, `${index}`)
      yield* Effect.orDie(fs.makeDirectory(own))
      const settings = ["--cluster-enabled", "yes", "--cluster-port", `${busPort}`, "--cluster-node-timeout", "2000"]
      const tlsPort = yield* freePort
      const tls = certificates[index] === undefined ? [] : tlsArgs(tlsPort, certificates[index])
      const all = { port, args: [...settings, "--dir", own, ...tls, ...args] }
      const node = yield* Brokers.start("redis", all)
      return { ...node, busPort, tlsPort, restart: Brokers.start("redis", all) }
    })
  )
  const [first, ...others] = nodes
  for (const [index, { port }] of nodes.entries()) {
    const [from, to] = [index, index + 1].map((place) => Math.floor((place * slots) / nodes.length))
    yield* send(port, ["CLUSTER", "ADDSLOTSRANGE", `${from}`, `${to! - 1}`])
  }
  for (const { busPort, port } of others) {
    yield* send(first!.port, ["CLUSTER", "MEET", "127.0.0.1", `${port}`, `${busPort}`])
  }
  const isWell = Effect.map(
    Effect.forEach(nodes, ({ port }) => send(port, ["CLUSTER", "INFO"])),
    (all) =>
      all.every((info) =>
        /cluster_state:ok[^]*cluster_slots_assigned:16384[^]*cluster_known_nodes:3/.test(String(info))
      )
  )
  yield* Effect.repeat(isWell, { until: (is) => is, schedule: Schedule.spaced("50 millis") })
  return { nodes, url: `redis://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}` }
})

/** The arguments of a node that serves a port with TLS, and speaks TLS to the others. */
const tlsArgs = (port: number, { ca, cert, key }: Brokers.Certificates) => {
  const files = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca]
  return ["--tls-port", `${port}`, "--tls-cluster", "yes", "--tls-auth-clients", "no", ...files]
}

/** A client that connects nowhere. To make one takes 30 ms, because of its hundreds of commands; copies of it share those. */
const template = createClient()

/** Sends a command to a server, over a connection of its own. */
export const send = (port: number, command: ReadonlyArray<string>) =>
  Effect.map(sendAll(port, [command]), ([reply]) => reply)

/** Sends commands to a server at the same time, over one connection of their own. */
export const sendAll = (port: number, commands: ReadonlyArray<ReadonlyArray<string>>) =>
  Effect.promise(async () => {
    const client = template.duplicate({ socket: { host: "127.0.0.1", port } })
    await client.connect()
    try {
      return await Promise.all(commands.map((command) => client.sendCommand<unknown>([...command])))
    } finally {
      client.destroy()
    }
  })
