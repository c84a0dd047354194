/** Reads what the settings of a broker name: its address, the files of its certificates, and the file of its credentials. */
import { Effect, Redacted } from "effect"
import { readFile } from "node:fs/promises"
import { BrokerError, reasonOf } from "./brokerError.ts"

/** The files of TLS certificates, in PEM. */
export interface TlsFiles {
  /** The authorities that may have signed the broker's certificate. Default: those that Node knows. */
  readonly ca?: string | undefined
  /** The certificate to show to the broker. */
  readonly cert?: string | undefined
  /** The key of `cert`. */
  readonly key?: string | undefined
}

/** A broker, and what the service shows to it. */
export interface Options {
  readonly url: Redacted.Redacted
  /** The first part of the name of every channel at the broker. Default: `metadata_batcher`. */
  readonly prefix?: string | undefined
  readonly credentialsFile?: string | undefined
  /** The certificates of a TLS connection. */
  readonly tls?: TlsFiles | undefined
}

export const defaultPrefix = "metadata_batcher"

/** The longest time of an attempt to connect to one server, in milliseconds. */
export const connectTimeout = 5_000

export interface Tls {
  ca?: string
  cert?: string
  key?: string
}

/** Returns the content of the files. Fails when one of them cannot be read. */
export const readTls = Effect.fnUntraced(function* (files: TlsFiles = {}): Effect.fn.Return<Tls, BrokerError> {
  const tls: Tls = {}
  for (const name of ["ca", "cert", "key"] as const) {
    const file = files[name]
    if (file !== undefined) tls[name] = yield* read(`PUBSUB_TLS_${name.toUpperCase()}`, file)
  }
  return tls
})

/** Returns the content of the file with the credentials, without blanks around it. */
export const readCredentials = (file: string): Effect.Effect<string, BrokerError> =>
  Effect.map(read("PUBSUB_CREDENTIALS_FILE", file), (text) => text.trim())

const read = (setting: string, file: string) =>
  Effect.tryPromise({
    try: () => readFile(file, "utf8"),
    catch: (cause) =>
      new BrokerError({
        reason: "settings",
        detail: `the file of ${setting} cannot be read (${reasonOf(cause)}): set ${setting} to a file that the service may read`
      })
  })

export interface User {
  readonly username?: string | undefined
  readonly password?: string | undefined
}

/** Returns the user and the password of `user:password`, or the password alone. */
export const parseUser = (text: string): User => {
  const colon = text.indexOf(":")
  return colon < 0 ? { password: text } : { username: text.slice(0, colon), password: text.slice(colon + 1) }
}

export interface Target extends User {
  readonly scheme: string
  /** The hosts with their ports. */
  readonly hosts: ReadonlyArray<string>
  /** The number of a database of Redis. */
  readonly path: string
  /** The address without its credentials. */
  readonly display: string
}

/** Returns the parts of an address with one or more hosts, separated by commas. The first credentials are for all. */
export const parseTarget = Effect.fnUntraced(function* (
  address: Redacted.Redacted,
  schemes: ReadonlyArray<string>
): Effect.fn.Return<Target, BrokerError> {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.*)$/s.exec(Redacted.value(address)) ?? []
  const invalid = new BrokerError({
    reason: "settings",
    detail: `PUBSUB_URL must be an address such as ${schemes[0]}://user:password@host:port`
  })
  if (!schemes.includes(scheme)) return yield* invalid
  const hosts: Array<string> = []
  let user: User = {}
  let path = ""
  for (const part of rest.split(",")) {
    // a scheme that is unknown to the standard keeps a default port
    const text = `broker://${part.trim().replace(/^[a-z]+:\/\//, "")}`
    if (!URL.canParse(text)) return yield* invalid
    const url = new URL(text)
    if (url.hostname === "") return yield* invalid
    hosts.push(url.host)
    path = url.pathname.slice(1) || path
    if (user.username === undefined && user.password === undefined && (url.username || url.password)) {
      user = {
        ...(url.username === "" ? {} : { username: decode(url.username) }),
        ...(url.password === "" ? {} : { password: decode(url.password) })
      }
    }
  }
  return { scheme, hosts, path, display: `${scheme}://${hosts.join(",")}`, ...user }
})

/** Returns text as it was before it was percent-encoded; text that was not stays as it is. */
const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
