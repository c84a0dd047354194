/** Real brokers for tests: `nats-server` and `redis-server`, each on a port of its own. */
import { describe } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as ServiceProcess from "./serviceProcess.ts"

export type Kind = "nats" | "redis"

interface Program {
  readonly command: string
  /** The variable that names another program. */
  readonly variable: string
  readonly args: (port: number) => ReadonlyArray<string>
  readonly ready: RegExp
}

const programs: { readonly [K in Kind]: Program } = {
  nats: {
    command: "nats-server",
    variable: "NATS_SERVER_BIN",
    args: (port) => ["-a", "127.0.0.1", "-p", `${port}`],
    ready: /Server is ready/
  },
  redis: {
    command: "redis-server",
    variable: "REDIS_SERVER_BIN",
    args: (port) => ["--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--appendonly", "no"],
    ready: /Ready to accept connections/
  }
}

/** Returns the path of a program; that of a server may lie where only administrators look. */
export const find = (command: string): string | undefined =>
  [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"]
    .map((folder) => Path.join(folder, command))
    .find((path) => existsSync(path))

/** Returns the path of the server of a broker, if there is one. */
export const server = (kind: Kind): string | undefined => {
  const { command, variable } = programs[kind]
  return process.env[variable] ?? find(command)
}

/** Adds a suite that needs a server: a run without that server leaves the suite out and says so, and fails in CI. */
export const describeWith = (kind: Kind, suite: () => void) =>
  (server(kind) === undefined ? describe.skip : describe)(`with ${programs[kind].command}`, suite)

/** One sentence for each server that is missing. */
export const missing = (): ReadonlyArray<string> =>
  (["nats", "redis"] as const)
    .filter((kind) => server(kind) === undefined)
    .map((kind) => {
      const { command, variable } = programs[kind]
      return `suites that need ${command} are left out: install it, or set ${variable} to its path`
    })

export const freePort = Effect.callback<number>((resume) => {
  const listener = Net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = listener.address() as Net.AddressInfo
    listener.close(() => resume(Effect.succeed(port)))
  })
})

export interface Options {
  readonly port?: number | undefined
  /** Further arguments of the program. */
  readonly args?: ReadonlyArray<string> | undefined
}

export type Broker = Effect.Success<ReturnType<typeof start>>

/** Starts a broker and waits until it is ready. It is killed with the scope. */
export const start = Effect.fnUntraced(function* (kind: Kind, options: Options = {}) {
  const { args, ready } = programs[kind]
  const port = options.port ?? (yield* freePort)
  const program = yield* ServiceProcess.startCommand(server(kind)!, [...args(port), ...(options.args ?? [])])
  yield* program.line(ready)
  return {
    kind,
    port,
    url: `${kind}://127.0.0.1:${port}`,
    /** Ends it at once, and waits until it is gone. */
    kill: Effect.andThen(program.kill("SIGKILL"), program.exit),
    freeze: program.kill("SIGSTOP"),
    thaw: program.kill("SIGCONT")
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
