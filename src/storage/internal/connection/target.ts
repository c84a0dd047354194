/**
 * Reads the address, the credentials and the TLS settings of a database from a libpq URL.
 *
 * - An unsupported parameter is an error that names it: no parameter is ignored.
 * - Reserved characters in user and password work with and without encoding: the credentials end at the first `@` that
 *   an address follows. `display` contains hosts, ports and database, and nothing that precedes that `@`.
 * - A password is prepared by SASLprep, as the server prepares the password that it stores.
 */
import { Config, ConfigProvider, Duration, Effect, Redacted, Schema } from "effect"
import * as Fs from "node:fs"
import type { ConnectionOptions } from "node:tls"
import { PostgresError } from "../postgresError.ts"
import { saslPrep } from "./saslPrep.ts"

export interface Host {
  /** A name, an address, or the folder of a unix socket. */
  readonly host: string
  readonly port: number
}

export interface Target {
  readonly hosts: ReadonlyArray<Host>
  readonly database: string | undefined
  readonly username: string | undefined
  readonly password: Redacted.Redacted | undefined
  readonly ssl: ConnectionOptions | false
  /** Whether a connection without TLS is used when the server does not support TLS. */
  readonly isTlsOptional: boolean
  readonly applicationName: string | undefined
  readonly options: string | undefined
  readonly connectTimeout: Duration.Duration | undefined
  /** Whether servers that accept no writes are skipped. */
  readonly isWritable: boolean
  /** Hosts, ports and database, for logs and errors. */
  readonly display: string
}

const parameters = new Set([
  "application_name",
  "channel_binding",
  "client_encoding",
  "connect_timeout",
  "dbname",
  "gssencmode",
  "host",
  "options",
  "password",
  "port",
  "sslcert",
  "sslkey",
  "sslmode",
  "sslpassword",
  "sslrootcert",
  "target_session_attrs",
  "user"
])

/** Values that have no effect here, of parameters whose other values are unsupported. */
const acceptedValues: Readonly<Record<string, ReadonlyArray<string>>> = {
  channel_binding: ["disable", "prefer"],
  client_encoding: ["UTF8", "UTF-8", "utf8", "utf-8", "auto"],
  gssencmode: ["disable", "prefer"],
  target_session_attrs: ["any", "read-write", "primary"]
}

const sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

/** Parses a URL. The libpq variables supply the password and the TLS settings that the URL does not have. */
export const parse = Effect.fnUntraced(function* (url: Redacted.Redacted): Effect.fn.Return<Target, PostgresError> {
  const text = split(Redacted.value(url))
  if (text === undefined) {
    return yield* invalid("the database URL is not of the form postgresql://user:password@host:port/database")
  }
  const query = new URLSearchParams(text.query)
  yield* checkParameters(query)
  const setting = (name: string, variable: string) =>
    query.has(name) ? Effect.succeed(query.get(name)!) : fromEnvironment(variable)

  const hosts = yield* hostsOf(query.get("host") ?? text.hosts, query.get("port"))
  const database = query.get("dbname") ?? (decode(text.database) || undefined)
  const password = query.get("password") ?? text.password ?? (yield* fromEnvironment("PGPASSWORD"))
  const seconds = query.get("connect_timeout")
  if (seconds !== null && !/^\d+$/.test(seconds))
    return yield* invalid("connect_timeout of the database URL is no number")
  const isLocal = hosts.every(({ host }) => host.startsWith("/"))
  const mode = yield* setting("sslmode", "PGSSLMODE")
  const tls = {
    rootCertificate: yield* setting("sslrootcert", "PGSSLROOTCERT"),
    certificate: yield* setting("sslcert", "PGSSLCERT"),
    key: yield* setting("sslkey", "PGSSLKEY"),
    passphrase: query.get("sslpassword") ?? undefined
  }
  if (mode !== undefined && !sslModes.includes(mode)) {
    return yield* invalid(`sslmode of the database must be one of ${sslModes.join(", ")}`)
  }
  return {
    hosts,
    database,
    username: query.get("user") ?? text.username ?? (yield* fromEnvironment("PGUSER")),
    password: password === undefined ? undefined : Redacted.make(saslPrep(password)),
    ssl: isLocal ? false : yield* sslOptions(mode, tls),
    isTlsOptional: mode === "prefer" || mode === "allow",
    applicationName: query.get("application_name") ?? undefined,
    options: query.get("options") ?? undefined,
    connectTimeout:
      seconds === null ? undefined : seconds === "0" ? Duration.infinity : Duration.seconds(Number(seconds)),
    isWritable: ["primary", "read-write"].includes(query.get("target_session_attrs") ?? "any"),
    display: `${hosts.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`).join(",")}/${database ?? ""}`
  }
})

interface Parts {
  readonly username: string | undefined
  readonly password: string | undefined
  readonly hosts: string
  readonly database: string
  readonly query: string
}

/** Returns the parts of a URL. The user ends at the first `@` that an address follows. */
const split = (url: string): Parts | undefined => {
  const scheme = /^postgres(?:ql)?:\/\//.exec(url)
  if (scheme === null) return undefined
  const rest = url.slice(scheme[0].length)
  for (let at = -1; ; at = rest.indexOf("@", at + 1)) {
    const address = addressIn(rest.slice(at + 1))
    if (address !== null) {
      const [, hosts = "", database = "", query = ""] = address
      const user = at < 0 ? "" : rest.slice(0, at)
      const colon = user.indexOf(":")
      return {
        username: (colon < 0 ? decode(user) : decode(user.slice(0, colon))) || undefined,
        password: colon < 0 ? undefined : decode(user.slice(colon + 1)),
        hosts,
        database,
        query
      }
    }
    if (rest.indexOf("@", at + 1) < 0) return undefined
  }
}

// strict, so that no part of a password is read as a host, a port or a parameter
const addressPattern = /^([^@/?#]*)(?:\/([^@?#/]*))?(?:\?((?:\w+=[^#]*)?))?$/

const hostPattern = /^(?:\[[\da-f:.]*\]|[^:[\]]*)(?::\d*)?$/i

const addressIn = (text: string) => {
  const address = addressPattern.exec(text)
  return address?.[1]!.split(",").every((host) => hostPattern.test(host)) ? address : null
}

/** Decodes percent-encoding; returns a text without valid encoding as it is. */
const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const checkParameters = (query: URLSearchParams) =>
  Effect.forEach(
    [...query],
    ([name, value]) => {
      if (!parameters.has(name)) {
        return invalid(
          `the parameter ${name} of the database URL is not supported: leave it out, or use ${[...parameters].join(", ")}`
        )
      }
      const values = acceptedValues[name]
      return values === undefined || values.includes(value)
        ? Effect.void
        : invalid(`${name} of the database URL must be one of ${values.join(", ")}`)
    },
    { discard: true }
  )

const hostsOf = Effect.fnUntraced(function* (list: string, portList: string | null) {
  const ports = portList === null ? [] : portList.split(",")
  return yield* Effect.forEach(list.split(","), (entry, index) => {
    const [, host = "", written] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(entry) ?? []
    const port = Number(written || (ports[index] ?? ports[0]) || 5432)
    return Number.isInteger(port) && port > 0 && port < 65_536
      ? Effect.succeed({ host: decode(host.replace(/^\[|\]$/g, "")) || "localhost", port })
      : invalid("the port of the database URL is no number from 1 to 65535")
  })
})

interface TlsFiles {
  readonly rootCertificate: string | undefined
  readonly certificate: string | undefined
  readonly key: string | undefined
  readonly passphrase: string | undefined
}

/** As in libpq, only `verify-…`, and `require` with a root certificate, verify the server's certificate. */
const sslOptions = Effect.fnUntraced(function* (mode: string | undefined, files: TlsFiles) {
  if (mode === undefined || mode === "disable") return false
  const ca = files.rootCertificate === "system" ? undefined : yield* read("sslrootcert", files.rootCertificate)
  const isVerified = mode.startsWith("verify-") || (mode === "require" && files.rootCertificate !== undefined)
  const isHostVerified = mode === "verify-full" || files.rootCertificate === "system"
  return {
    rejectUnauthorized: isVerified,
    ...(ca === undefined ? {} : { ca }),
    ...(isVerified && !isHostVerified ? { checkServerIdentity: () => undefined } : {}),
    cert: yield* read("sslcert", files.certificate),
    key: yield* read("sslkey", files.key),
    passphrase: files.passphrase
  } satisfies ConnectionOptions
})

const read = (parameter: string, path: string | undefined) =>
  path === undefined
    ? Effect.succeed(undefined)
    : Effect.try({
        try: () => Fs.readFileSync(path),
        catch: (cause) =>
          new PostgresError({
            reason: "url",
            detail: `cannot read ${path}, the ${parameter} of the database: ${cause instanceof Error ? cause.message : ""}`
          })
      })

const fromEnvironment = (variable: string): Effect.Effect<string | undefined> =>
  ConfigProvider.ConfigProvider.use((provider) => Config.schema(Schema.NonEmptyString, variable).parse(provider)).pipe(
    Effect.orElseSucceed(() => undefined)
  )

const invalid = (detail: string) => Effect.fail(new PostgresError({ reason: "url", detail }))
