/** Opens a client of Redis or Valkey: of a single server, or of a cluster, which any of its hosts names. */
import { Effect } from "effect"
import type { createClient, createCluster } from "redis"
import * as RedisServer from "../../../platform/RedisServer.ts"
import * as RemoteServer from "../../../platform/RemoteServer.ts"

export type Command = ReadonlyArray<string>

export interface Node {
  readonly address: string
  readonly send: (command: Command) => Promise<unknown>
}

export interface Client {
  readonly send: (key: string, command: Command) => Promise<unknown>
  readonly nodes: () => ReadonlyArray<Node>
  /** Lets commands finish that have begun. */
  readonly close: () => Promise<unknown>
  /** Closes it at once; a client that is closed stays closed. */
  readonly destroy: () => void
}

export interface Options extends RemoteServer.Options {
  readonly role: RemoteServer.Role
  /** The sentence about a user who lacks rights. */
  readonly rights: (address: string, why: string) => string
}

/** Returns how to open a client, which fails when its server cannot be used, and how to name the reason of an error. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const { role } = options
  const target = yield* RemoteServer.parseTarget(role, options.url, RedisServer.schemes)
  const redis = yield* RedisServer.load(role)
  const server = `the ${role.name} ${target.display}`
  const setting = `${role.settings}_URL`
  const unusable = (detail: string) => Effect.fail<RemoteServer.Problem>({ reason: "settings", detail })
  if (!/^\d*$/.test(target.path)) {
    return yield* unusable(`${setting} must end with the number of a database, such as /1, or with the host`)
  }
  const sentences = {
    ...RemoteServer.sentences(role, target),
    rights: (why: string) => options.rights(target.display, why),
    version: (why: string) => `${server} is too old (${why}): run Redis 6 or Valkey, or later, at ${setting}`
  }
  let hasReplied = false
  const broken = (cause: unknown): RemoteServer.Problem => {
    const why = RemoteServer.reasonOf(cause)
    if (/^ERR (SELECT is not allowed|DB index)/.test(why)) {
      const detail = `${server} has no database ${target.path} (${why}): correct or leave out the number in ${setting}`
      return { reason: "settings", detail, cause }
    }
    const reason = RedisServer.reasonOf(cause, { hasReplied, scheme: target.scheme })
    return { reason, detail: sentences[reason](why), cause }
  }

  const open = Effect.gen(function* () {
    const access = yield* RedisServer.readAccess(role, target, options)
    const context = { redis, target, settings: RedisServer.clientOptions(target.scheme, access), broken }
    const { client, greeting } = yield* firstOf(context)
    hasReplied = true
    const isReplica = greeting["role"] === "replica" || greeting["role"] === "slave"
    const isCluster = greeting["mode"] === "cluster"
    if (!isCluster && !isReplica && target.hosts.length === 1) return client
    client.destroy()
    if (isCluster) return yield* clusterOf(context)
    return yield* unusable(
      isReplica
        ? `${server} is a replica, which accepts no writes: set ${setting} to the address of its primary`
        : `${server} is not a cluster: name one host in ${setting}`
    )
  })
  return { open, broken }
})

interface Context {
  readonly redis: { readonly createClient: typeof createClient; readonly createCluster: typeof createCluster }
  readonly target: RemoteServer.Target
  readonly settings: ReturnType<typeof RedisServer.clientOptions>
  readonly broken: (cause: unknown) => RemoteServer.Problem
}

/** Returns a client of the first host that can be used, with what its server says of itself. */
const firstOf = (context: Context) => {
  const [first, ...others] = context.target.hosts.map((host) => single(context, host))
  return others.reduce((tried, next) => Effect.catch(tried, (problem) => Effect.mapError(next, () => problem)), first!)
}

const single = Effect.fnUntraced(function* ({ broken, redis, settings, target }: Context, host: string) {
  const client = redis.createClient({
    ...RedisServer.clientOptionsAt(host, settings),
    ...(target.path === "" ? {} : { database: Number(target.path) })
  })
  const send = (command: Command) => client.sendCommand<unknown>([...command])
  const own: Client = {
    send: (_, command) => send(command),
    nodes: () => [{ address: host, send }],
    close: () => client.close(),
    destroy: destroying(client)
  }
  const greeting = yield* connected(client, () => client.connect().then(() => send(["HELLO"])), broken)
  return { client: own, greeting: Object(greeting) as Readonly<Record<string, unknown>> }
})

const clusterOf = Effect.fnUntraced(function* ({ broken, redis, settings, target }: Context) {
  const endpointOf =
    "tls" in settings.socket ? (node: string) => RedisServer.tlsEndpointOf(node, target.hosts) : RedisServer.endpointOf
  const cluster = redis.createCluster({
    RESP: 3,
    rootNodes: target.hosts.map((host) => ({ socket: endpointOf(host) })),
    defaults: settings,
    nodeAddressMap: endpointOf,
    // a node that is away does not keep the service from the others
    minimizeConnections: true
  })
  yield* connected(cluster, () => cluster.connect(), broken)
  const own: Client = {
    send: (key, command) => cluster.sendCommand<unknown>(key, false, [...command]),
    nodes: () =>
      cluster.masters.map((node) => ({
        address: node.address,
        send: (command) => cluster.nodeClient(node).then((client) => client.sendCommand<unknown>([...command]))
      })),
    close: () => cluster.close(),
    destroy: destroying(cluster)
  }
  return own
})

interface Destroyable {
  readonly on: (event: "error", listener: (error: unknown) => void) => unknown
  readonly destroy: () => void
}

/** Connects, and destroys a client that cannot connect in time. Its later errors are those of the commands. */
const connected = <A>(client: Destroyable, connect: () => Promise<A>, broken: Context["broken"]) => {
  let last: unknown
  client.on("error", (error) => {
    last = error
  })
  return Effect.tryPromise({ try: connect, catch: (cause) => broken(last ?? cause) }).pipe(
    // a server that is stopped accepts connections and says nothing
    Effect.timeoutOrElse({
      duration: RemoteServer.connectTimeout,
      orElse: () => Effect.fail(broken(RemoteServer.noResponse()))
    }),
    Effect.onError(() => Effect.sync(destroying(client)))
  )
}

const destroying = (client: Pick<Destroyable, "destroy">) => () => {
  try {
    client.destroy()
  } catch {
    // it was closed
  }
}
