/** Real brokers for tests: `nats-server` and `redis-server`, each on a port of its own. */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Programs from "./programs.ts"
import { freePort } from "./freePort.ts"
import { portOf } from "./localServer.ts"
import * as ServiceProcess from "./serviceProcess.ts"

export type Kind = "nats" | "redis"

interface Server {
  readonly program: Programs.Program
  readonly args: (port: number) => ReadonlyArray<string>
  readonly ready: RegExp
}

const servers: { readonly [K in Kind]: Server } = {
  nats: {
    program: "nats-server",
    args: (port) => ["-a", "127.0.0.1", "-p", `${port}`],
    ready: /Server is ready/
  },
  redis: {
    program: "redis-server",
    args: (port) => ["--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--appendonly", "no"],
    ready: /Ready to accept connections/
  }
}

/** Adds a suite that needs the server of a broker. */
export const describeWith = (kind: Kind, suite: () => void) => Programs.describeWith(servers[kind].program, suite)

export interface Options {
  readonly port?: number | undefined
  /** Further arguments of the program. */
  readonly args?: ReadonlyArray<string> | undefined
}

export type Broker = Effect.Success<ReturnType<typeof start>>

/** Starts a broker and waits until it is ready. It is killed with the scope. */
export const start = Effect.fnUntraced(function* (kind: Kind, options: Options = {}) {
  const { args, program, ready } = servers[kind]
  const port = options.port ?? (yield* freePort)
  const server = yield* ServiceProcess.startCommand(Programs.pathOf(program)!, [...args(port), ...(options.args ?? [])])
  yield* server.line(ready)
  return {
    kind,
    port,
    pid: server.pid,
    url: `${kind}://127.0.0.1:${port}`,
    /** Ends it at once, and waits until it is gone. */
    kill: Effect.andThen(server.kill("SIGKILL"), server.exit),
    freeze: server.kill("SIGSTOP"),
    thaw: server.kill("SIGCONT")
  }
})

/** The port of a server that does not know the commands of 2020. */
export const ancientRedis = Effect.suspend(() =>
  portOf(
    Net.createServer((socket) => {
      socket.on("error", () => {})
      socket.on("data", () => socket.write("-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n"))
    })
  )
)

export type Certificates = ReturnType<typeof certificates>

/**
 * Makes a certificate for these names, by default those of this machine. It is signed by the authority of the folder, which
 * the first one makes.
 */
export const certificates = (folder: string, names = "IP:127.0.0.1,DNS:localhost") => {
  const file = (name: string) => Path.join(folder, name)
  const own = names.replace(/\W+/g, "-")
  const openssl = (...args: ReadonlyArray<string>) => execFileSync("openssl", args, { stdio: "pipe" })
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  if (!existsSync(file("ca.pem"))) {
    openssl("req", "-x509", ...newKey, "-keyout", file("ca.key"), "-out", file("ca.pem"), "-subj", "/CN=authority")
  }
  const signed = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-addext", `subjectAltName=${names}`]
  const files = ["-keyout", file(`${own}.key`), "-out", file(`${own}.pem`)]
  openssl("req", "-x509", ...newKey, ...files, "-subj", "/CN=server", ...signed)
  return { ca: file("ca.pem"), cert: file(`${own}.pem`), key: file(`${own}.key`) }
}

/** The arguments of a Redis with TLS alone, which asks clients for no certificate. */
const redisWithTls = ({ ca, cert, key }: Certificates, port: number) =>
  ["--tls-port", `${port}`, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca].concat([
    "--tls-auth-clients",
    "no"
  ])

/**
 * The addresses of servers that do not speak as the address says, by what is there: Redis with TLS and without, NATS and
 * Postgres. All have a password.
 */
export const mistakenForRedis = Effect.fnUntraced(function* (folder: string, postgresUrl: string) {
  const tlsPort = yield* freePort
  const { port } = yield* start("redis", { args: redisWithTls(certificates(folder), tlsPort) })
  const at = (scheme: string, port: number | string) => `${scheme}://me:hunter2@127.0.0.1:${port}`
  const others = Programs.pathOf("nats-server") === undefined ? [] : [(yield* start("nats")).port]
  return {
    tls: at("redis", tlsPort),
    plain: at("rediss", port),
    others: [...others, new URL(postgresUrl).port].flatMap((port) => [at("redis", port), at("rediss", port)])
  }
})
