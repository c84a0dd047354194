/**
 * Reads what the settings of another server name: its address, the files of its certificates, and the file of its
 * credentials. Each failure is a {@link Problem}, a sentence that names the setting; no sentence has a password.
 */
import { Effect, Redacted } from "effect"
import { readFile } from "node:fs/promises"
import { X509Certificate } from "node:crypto"
import { checkServerIdentity, createSecureContext, type PeerCertificate } from "node:tls"

/** Why a server cannot be used: the cause and the remedy, in one sentence. */
export interface Problem {
  readonly reason: Reason
  readonly detail: string
  readonly cause?: unknown
}

/**
 * - `unreachable`: no connection can be opened, or it broke.
 * - `protocol`: the server does not reply in the protocol of the address, or not with or without TLS as the address says.
 * - `credentials`: the server does not accept the user or the password.
 * - `rights`: the user may not do what the service does.
 * - `certificate`: the certificate of one side is missing or not accepted by the other.
 * - `version`: the server is too old.
 * - `package`: the package of the client is not installed.
 * - `settings`: the address or a file of the settings cannot be read.
 */
export type Reason =
  | "unreachable"
  | "protocol"
  | "credentials"
  | "rights"
  | "certificate"
  | "version"
  | "package"
  | "settings"

/** A kind of server, and how its settings begin. */
export interface Role {
  /** The word for it in sentences. */
  readonly name: string
  /** The part that the names of its settings share. */
  readonly settings: string
}

/** The files of TLS certificates, in PEM. */
export interface TlsFiles {
  /** The authorities that may have signed the server's certificate. Default: those that Node knows. */
  readonly ca?: string | undefined
  /** The certificate to show to the server. */
  readonly cert?: string | undefined
  /** The key of `cert`. */
  readonly key?: string | undefined
}

/** A server, and what the service shows to it. */
export interface Options {
  readonly url: Redacted.Redacted
  readonly credentialsFile?: string | undefined
  /** The certificates of a TLS connection. */
  readonly tls?: TlsFiles | undefined
}

/** The longest time of an attempt to connect to one server, in milliseconds. */
export const connectTimeout = 5_000

export interface Tls {
  ca?: string
  cert?: string
  key?: string
}

/** Returns the content of the files. Fails when one of them cannot be read, or is no certificate or key. */
export const readTls = Effect.fnUntraced(function* (
  { settings }: Role,
  files: TlsFiles = {}
): Effect.fn.Return<Tls, Problem> {
  const tls: Tls = {}
  for (const name of ["ca", "cert", "key"] as const) {
    const file = files[name]
    if (file !== undefined) tls[name] = yield* read(`${settings}_TLS_${name.toUpperCase()}`, file)
  }
  // a client that makes its connection of such files may never say so
  yield* checkTls(
    () => tls.ca !== undefined && new X509Certificate(tls.ca),
    `the file of ${settings}_TLS_CA`,
    "set it to certificates in PEM"
  )
  yield* checkTls(
    () => createSecureContext(tls),
    `the files of ${settings}_TLS_CERT and ${settings}_TLS_KEY`,
    "set them to a certificate and its key, both in PEM"
  )
  return tls
})

const checkTls = (use: () => unknown, what: string, remedy: string) =>
  Effect.try({
    try: use,
    catch: (cause): Problem => ({
      reason: "certificate",
      detail: `${what} cannot be used (${reasonOf(cause)}): ${remedy}`
    })
  })

/** Returns the host of `host:port`. */
export const hostOf = (text: string): string => new URL(`server://${text}`).hostname.replace(/^\[|\]$/g, "")

/** Returns a check whether a certificate is for one of these hosts. Its error is that of the first. */
export const identityCheckOf = (hosts: ReadonlyArray<string>) => (_: string, certificate: PeerCertificate) => {
  const [first, ...others] = hosts.map((host) => checkServerIdentity(host, certificate))
  return others.includes(undefined) ? undefined : first
}

/** Returns the content of the file with the credentials, without blanks around it. */
export const readCredentials = ({ settings }: Role, file: string): Effect.Effect<string, Problem> =>
  Effect.map(read(`${settings}_CREDENTIALS_FILE`, file), (text) => text.trim())

const read = (setting: string, file: string) =>
  Effect.tryPromise({
    try: () => readFile(file, "utf8"),
    catch: (cause): Problem => ({
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
  { settings }: Role,
  address: Redacted.Redacted,
  schemes: ReadonlyArray<string>
): Effect.fn.Return<Target, Problem> {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.*)$/s.exec(Redacted.value(address)) ?? []
  const invalid = Effect.fail<Problem>({
    reason: "settings",
    detail: `${settings}_URL must be an address such as ${schemes[0]}://user:password@host:port`
  })
  if (!schemes.includes(scheme)) return yield* invalid
  const hosts: Array<string> = []
  let user: User = {}
  let path = ""
  for (const part of rest.split(",")) {
    // a scheme that is unknown to the standard keeps a default port
    const text = `server://${part.trim().replace(/^[a-z]+:\/\//, "")}`
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

/** Loads the client of a server, a package that is installed only where that kind of server is used. */
export const load = <A>(
  role: Role,
  name: string,
  version: string,
  load: () => Promise<{ readonly default: A }>
): Effect.Effect<A, Problem> =>
  Effect.tryPromise({
    // of a module of CommonJS a bundle may have the default alone
    try: () => load().then((module) => module.default),
    catch: (cause): Problem => ({
      reason: "package",
      detail: `the ${role.name} of ${role.settings}_URL needs the package ${name}: install it with npm install ${name}@${version}`,
      cause
    })
  })

/** The protocol that the scheme of an address stands for, and the remedy when another server is there. */
const protocols: Readonly<Record<string, { readonly name: string; readonly remedy: (settings: string) => string }>> = {
  redis: {
    name: "Redis without TLS",
    remedy: (settings) =>
      `leads to Redis or Valkey, and begin ${settings}_URL with rediss:// if that server requires TLS`
  },
  rediss: {
    name: "Redis with TLS",
    remedy: (settings) => `leads to Redis or Valkey, and begin ${settings}_URL with redis:// if that server has no TLS`
  },
  nats: {
    name: "NATS",
    remedy: (settings) =>
      `leads to the port of NATS for clients, and set no ${settings}_TLS_CA, ${settings}_TLS_CERT and ${settings}_TLS_KEY if that server has no TLS`
  },
  tls: {
    name: "NATS with TLS",
    remedy: (settings) =>
      `leads to the port of NATS for clients, and begin ${settings}_URL with nats:// if that server has no TLS`
  }
}

/** The sentences about a server at an address that may be shown, by their reasons and their causes. */
export const sentences = (
  { name, settings }: Role,
  { display: address, scheme }: Pick<Target, "display" | "scheme">
) => ({
  protocol: (why: string) => {
    const protocol = protocols[scheme]!
    return `the ${name} ${address} does not reply in the protocol of ${protocol.name} (${why}): check that it runs, and that ${settings}_URL ${protocol.remedy(settings)}`
  },
  unreachable: (why: string) =>
    `cannot reach the ${name} ${address} (${why}): start it, or set ${settings}_URL to the address of a ${name} that runs`,
  credentials: (why: string) =>
    `the ${name} ${address} does not accept the user or the password (${why}): correct them in ${settings}_URL or ${settings}_CREDENTIALS_FILE`,
  certificate: (why: string) =>
    `the TLS connection to the ${name} ${address} failed (${why}): set ${settings}_TLS_CA to the authority of its certificate, and ${settings}_TLS_CERT and ${settings}_TLS_KEY if it asks for one`
})

/** The error of a server that is silent. */
export const noResponse = () => new Error(`no response within ${connectTimeout / 1_000} seconds`)

/** Returns the innermost message of an error. */
export const reasonOf = (cause: unknown): string => {
  let innermost = cause
  while (innermost instanceof AggregateError && innermost.errors.length > 0) innermost = innermost.errors[0]
  while (innermost instanceof Error && innermost.cause instanceof Error) innermost = innermost.cause
  // the message of OpenSSL has several lines
  if (innermost instanceof Error && "reason" in innermost && typeof innermost.reason === "string")
    return innermost.reason
  return innermost instanceof Error ? innermost.message || innermost.name : String(innermost)
}

/** The codes of Node and OpenSSL for a TLS handshake that failed, in the message or the code of an error. */
const tlsFailure = /CERT|SSL|TLS|ALTNAME|SELF_SIGNED|SELF-SIGNED|UNABLE_TO_(GET|VERIFY)/i

/** Whether an error is about TLS. */
export const isTlsFailure = (cause: unknown): boolean =>
  cause instanceof Error &&
  (("code" in cause && tlsFailure.test(String(cause.code))) ||
    tlsFailure.test(cause.message) ||
    isTlsFailure(cause.cause))
