import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Redacted } from "effect"
import { saslPrep } from "../../../../src/storage/internal/connection/saslPrep.ts"
import { parse } from "../../../../src/storage/internal/connection/target.ts"

const target = (url: string, environment: Record<string, string> = {}) =>
  parse(Redacted.make(url)).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))
  )

const passwordOf = (url: string, environment?: Record<string, string>) =>
  Effect.map(target(url, environment), ({ password }) => password && Redacted.value(password))

describe("the URL of a database", () => {
  it.effect("names user, password, host, port and database", () =>
    Effect.gen(function* () {
      const { database, display, hosts, password, ssl, username } = yield* target("postgresql://me:secret@db:6543/app")

      assert.deepStrictEqual(
        { database, display, hosts, password: password && Redacted.value(password), ssl, username },
        {
          database: "app",
          display: "db:6543/app",
          hosts: [{ host: "db", port: 6543 }],
          password: "secret",
          ssl: false,
          username: "me"
        }
      )
    })
  )

  it.effect.each(["p@ss", "pa/ss", "12/ss", "pa#ss", "pa?ss", "12?ss", "p:a:s", "a%b", "100%", "[x]"])(
    "takes the password %s as it is, and shows none of it [FT-23]",
    (password) =>
      Effect.gen(function* () {
        const url = `postgresql://me:${password}@db/app?application_name=a@b`

        assert.strictEqual(yield* passwordOf(url), password)
        const { display, hosts, username } = yield* target(url)
        assert.deepStrictEqual([username, display, hosts], ["me", "db:5432/app", [{ host: "db", port: 5432 }]])
        assert.strictEqual(yield* passwordOf(`postgresql://me:${encodeURIComponent(password)}@db/app`), password)
      })
  )

  it.effect("has several hosts, addresses of version 6, and unix sockets [FT-23]", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* target("postgresql://a:1,b,[::1]:3/app")).hosts, [
        { host: "a", port: 1 },
        { host: "b", port: 5432 },
        { host: "::1", port: 3 }
      ])
      assert.deepStrictEqual((yield* target("postgresql:///app?host=/run/pg,b&port=1,2")).hosts, [
        { host: "/run/pg", port: 1 },
        { host: "b", port: 2 }
      ])
      assert.deepStrictEqual((yield* target("postgresql://me@%2Frun%2Fpg/app?sslmode=require")).hosts, [
        { host: "/run/pg", port: 5432 }
      ])
    })
  )

  it.effect("says how the server is verified, as in libpq [FT-23]", () =>
    Effect.gen(function* () {
      const modes = ["disable", "prefer", "require", "verify-ca", "verify-full"]
      const targets = yield* Effect.forEach(modes, (mode) => target(`postgresql://db/app?sslmode=${mode}`))

      assert.deepStrictEqual(
        targets.map(({ isTlsOptional, ssl }) => [
          ssl !== false,
          isTlsOptional,
          ssl !== false && ssl.rejectUnauthorized,
          ssl !== false && ssl.checkServerIdentity === undefined
        ]),
        [
          [false, false, false, false],
          [true, true, false, true],
          [true, false, false, true],
          [true, false, true, false],
          [true, false, true, true]
        ]
      )
    })
  )

  it.effect("takes password, user and TLS settings that it does not hold from the variables of libpq [FT-23]", () =>
    Effect.gen(function* () {
      const environment = { PGPASSWORD: "from outside", PGUSER: "them", PGSSLMODE: "require" }
      const { ssl, username } = yield* target("postgresql://db/app", environment)

      assert.strictEqual(yield* passwordOf("postgresql://db/app", environment), "from outside")
      assert.strictEqual(yield* passwordOf("postgresql://me:mine@db/app", environment), "mine")
      assert.strictEqual(username, "them")
      assert.isFalse(ssl !== false && ssl.rejectUnauthorized)
    })
  )

  it.effect("has the other parameters that are supported", () =>
    Effect.gen(function* () {
      const { applicationName, connectTimeout, isWritable, options } = yield* target(
        "postgresql://db/app?application_name=me&connect_timeout=3&options=-c%20work_mem%3D1MB&target_session_attrs=read-write"
      )

      assert.deepStrictEqual(
        [applicationName, connectTimeout, isWritable, options],
        ["me", Duration.seconds(3), true, "-c work_mem=1MB"]
      )
    })
  )

  it.effect.each([
    ["postgresql://db/app?passfile=/x", "passfile"],
    ["postgresql://db/app?sslmode=on", "sslmode"],
    ["postgresql://db/app?channel_binding=require", "channel_binding"],
    ["postgresql://db/app?target_session_attrs=standby", "target_session_attrs"],
    ["postgresql://db/app?connect_timeout=soon", "connect_timeout"],
    ["postgresql://db/app?sslmode=verify-ca&sslrootcert=/no/such/file", "sslrootcert"],
    ["postgresql://db:0/app", "port"],
    ["mysql://db/app", "postgresql://user:password@host:port/database"]
  ] as const)("refuses %s by the name of %s [FT-23]", ([url, name]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(target(url))

      assert.strictEqual(error.reason, "url")
      assert.include(error.message, name)
    })
  )
})

describe("SASLprep", () => {
  it.each([
    ["plain ASCII", "plain ASCII"],
    ["I\u00ADX", "IX"],
    ["\u00AA", "a"],
    ["\u2168", "IX"],
    ["a\u00A0b", "a b"],
    ["passwörd", "passwörd"],
    ["passwo\u0308rd", "passwörd"],
    ["\u0007é", "\u0007é"],
    ["\u0627a", "\u0627a"]
  ])("prepares %j as %j [FT-23]", (password, prepared) => {
    assert.strictEqual(saslPrep(password), prepared)
  })
})
