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

/** Returns the host and the port of `host:port`. */
export const endpointOf = (text: string) => {
  const { hostname, port } = new URL(`server://${text}`)
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 6379) }
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

/** The options of a client of one host. The certificate of a host has to have its name; an address has none. */
export const clientOptionsAt = (host: string, { socket, ...options }: ReturnType<typeof clientOptions>) => {
  const endpoint = endpointOf(host)
  const serverName = "tls" in socket && isIP(endpoint.host) === 0 ? { servername: endpoint.host } : {}
  return { ...options, RESP: 3 as const, socket: { ...socket, ...endpoint, ...serverName } }
}

/** Returns why the server cannot be used. */
export const reasonOf = (cause: unknown): Exclude<RemoteServer.Reason, "package" | "settings"> => {
  const message = cause instanceof Error ? cause.message : ""
  if (/^(WRONGPASS|NOAUTH)|invalid password|without any password/i.test(message)) return "credentials"
  if (/^NOPERM|user executing the script can't/.test(message)) return "rights"
  if (/^NOPROTO|unknown command.*HELLO/i.test(message)) return "version"
  return RemoteServer.isTlsFailure(cause) ? "certificate" : "unreachable"
}
