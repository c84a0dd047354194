/** Connects to Redis or Valkey, in version 3 of their protocol, as the settings of a server say. */
import { Effect } from "effect"
import { isIP } from "node:net"
import * as RemoteServer from "./RemoteServer.ts"

export const schemes = ["redis", "rediss"] as const

/** Loads the client. */
export const load = (role: RemoteServer.Role) => RemoteServer.load(role, "redis", "6", () => import("redis"))

/** Returns what the service shows to the server, read from its files again for each connection. */
export const readAccess = Effect.fnUntraced(function* (
  role: RemoteServer.Role,
  target: RemoteServer.Target,
  { credentialsFile, tls }: Pick<RemoteServer.Options, "credentialsFile" | "tls">
) {
  const certificates = yield* RemoteServer.readTls(role, tls)
  const user =
    credentialsFile === undefined
      ? target
      : RemoteServer.parseUser(yield* RemoteServer.readCredentials(role, credentialsFile))
  return { certificates, user }
})

export type Access = Effect.Success<ReturnType<typeof readAccess>>

/** Returns the host and the port of `host:port`. An address of a node of a cluster has no brackets. */
export const endpointOf = (text: string) => {
  const [, bare, last] = /^([^[\]]*:[^[\]]*):(\d+)$/.exec(text) ?? []
  if (bare !== undefined) return { host: bare, port: Number(last) }
  return { host: RemoteServer.hostOf(text), port: Number(new URL(`server://${text}`).port || 6379) }
}

/**
 * The options of a client. It never repairs a connection by itself, and nothing waits for a connection: its user opens
 * another one, so that no loss goes unnoticed and nothing is sent late.
 */
export const clientOptions = (scheme: string, { certificates, user }: Access) => ({
  name: "metadata-batcher",
  disableOfflineQueue: true,
  disableClientInfo: true,
  maintNotifications: "disabled" as const,
  ...(user.username === undefined ? {} : { username: user.username }),
  ...(user.password === undefined ? {} : { password: user.password }),
  socket: {
    connectTimeout: RemoteServer.connectTimeout,
    reconnectStrategy: false as const,
    ...(scheme === "rediss" ? { ...certificates, tls: true as const } : {})
  }
})

/** The options of a client of one host. */
export const clientOptionsAt = (host: string, { socket, ...options }: ReturnType<typeof clientOptions>) => ({
  ...options,
  RESP: 3 as const,
  socket: { ...socket, ...("tls" in socket ? tlsEndpointOf(host) : endpointOf(host)) }
})

/**
 * Returns where a node of a cluster is, of which `named` are hosts that have names. The certificate of a node has to have
 * its own name or address, or one of theirs: a cluster gives the addresses of its nodes, which few certificates have.
 */
export const tlsEndpointOf = (node: string, named: ReadonlyArray<string> = []) => {
  const endpoint = endpointOf(node)
  const names = [endpoint, ...named.map(endpointOf)].map(({ host }) => host)
  // an address is no name that a server could choose its certificate by
  const servername = names.find((name) => isIP(name) === 0)
  return {
    ...endpoint,
    ...(servername === undefined ? {} : { servername }),
    checkServerIdentity: RemoteServer.identityCheckOf(names)
  }
}

/** Returns why the server cannot be used. One that has replied speaks the protocol of the scheme. */
export const reasonOf = (
  cause: unknown,
  { hasReplied, scheme }: { readonly hasReplied: boolean; readonly scheme: string }
): Exclude<RemoteServer.Reason, "package" | "settings"> => {
  const message = cause instanceof Error ? cause.message : ""
  if (!hasReplied && (scheme === "rediss" ? noTls : noReply).test(message)) return "protocol"
  if (/^(WRONGPASS|NOAUTH)|invalid password|without any password/i.test(message)) return "credentials"
  if (/^NOPERM|user executing the script can't/.test(message)) return "rights"
  if (/^NOPROTO|unknown command.*HELLO/i.test(message)) return "version"
  return RemoteServer.isTlsFailure(cause) ? "certificate" : "unreachable"
}

/** The messages about a server that says nothing, closes the connection instead of its first reply, or is NATS. */
const noReply = /^no response within|ECONNRESET|EPIPE|Socket closed unexpectedly|Unknown Protocol Operation/

/** The messages about a server that does not begin TLS. */
const noTls =
  /^no response within|before secure TLS connection|:(wrong version number|packet length too long|http request):/
