/** Real brokers for tests: `nats-server` and `redis-server`, each on a port of its own. */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Programs from "./programs.ts"
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

export const freePort = Effect.scoped(Effect.suspend(() => portOf(Net.createServer())))

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

/** Makes an authority in a folder, and a certificate that it has signed for this machine. */
export const certificates = (folder: string) => {
  const file = (name: string) => Path.join(folder, name)
  const openssl = (...args: ReadonlyArray<string>) => execFileSync("openssl", args, { stdio: "pipe" })
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  openssl("req", "-x509", ...newKey, "-keyout", file("ca.key"), "-out", file("ca.pem"), "-subj", "/CN=authority")
  const names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
  const signed = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-addext", names]
  openssl(
    "req",
    "-x509",
    ...newKey,
    "-keyout",
    file("key.pem"),
    "-out",
    file("cert.pem"),
    "-subj",
    "/CN=localhost",
    ...signed
  )
  return { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") }
}
