import { NodeFileSystem } from "@effect/platform-node"
import { assert, inject, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Redacted } from "effect"
import * as Net from "node:net"
import * as Path from "node:path"
import * as NatsPubSub from "../../src/pubsub/NatsPubSub.ts"
import * as Brokers from "../support/brokers.ts"
import { emptyFolder } from "../support/folder.ts"
import { portOf } from "../support/localServer.ts"
import { brokerSuite, Server } from "./brokerSuite.ts"

const at = (broker: Brokers.Broker, user: string, scheme = "nats") =>
  Redacted.make(`${scheme}://${user}@127.0.0.1:${broker.port}`)

Brokers.describeWith("nats", () => {
  layer(Layer.merge(Server.layer("nats"), NodeFileSystem.layer), { excludeTestServices: true })("NatsPubSub", (it) => {
    const { refused } = brokerSuite(it, { make: NatsPubSub.make })

    it.effect("accepts a user with a password, a token, a file with either, and further hosts [BK-05]", () =>
      Effect.gen(function* () {
        const folder = yield* emptyFolder
        const fs = yield* FileSystem.FileSystem
        const withUser = yield* Brokers.start("nats", { args: ["--user", "me", "--pass", "p:w"] })
        const withToken = yield* Brokers.start("nats", { args: ["--auth", "hunter2"] })
        const file = Path.join(folder, "credentials")
        yield* fs.writeFileString(file, "me:p:w\n")

        yield* NatsPubSub.make({ url: at(withUser, "me:p%3Aw") })
        yield* NatsPubSub.make({ url: at(withToken, "hunter2") })
        yield* NatsPubSub.make({ url: Redacted.make(withUser.url), credentialsFile: file })
        yield* NatsPubSub.make({ url: Redacted.make(`nats://me:p%3Aw@127.0.0.1:1,127.0.0.1:${withUser.port}`) })
      })
    )

    it.effect("does not start with a wrong password [BK-05]", () =>
      Effect.gen(function* () {
        const broker = yield* Brokers.start("nats", { args: ["--user", "me", "--pass", "another"] })

        const { message, reason } = yield* refused({ url: at(broker, "me:hunter2") })

        assert.strictEqual(reason, "credentials")
        assert.match(message, /does not accept the user or the password \(.*\): correct them in PUBSUB_URL or/)
      })
    )

    it.effect("does not start with a file of credentials that NATS has not issued [BK-05]", () =>
      Effect.gen(function* () {
        const file = Path.join(yield* emptyFolder, "credentials")
        const broken = "-----BEGIN NATS USER JWT-----\nhunter2\n------END NATS USER JWT------\n"
        yield* FileSystem.FileSystem.use((fs) => fs.writeFileString(file, broken))

        const { message, reason } = yield* refused({
          url: Redacted.make((yield* Server).url),
          credentialsFile: file
        })

        assert.strictEqual(reason, "settings")
        assert.match(
          message,
          /^the file of PUBSUB_CREDENTIALS_FILE has no credentials of NATS \(.*\): set PUBSUB_CREDENTIALS_FILE/
        )
      })
    )

    it.effect("does not start without the rights to its channels, and needs no others [BK-05]", () =>
      Effect.gen(function* () {
        const folder = yield* emptyFolder
        const fs = yield* FileSystem.FileSystem
        const config = Path.join(folder, "nats.conf")
        const permissions = 'permissions: { publish: "mine.>", subscribe: "mine.>" }'
        yield* fs.writeFileString(config, `authorization { users: [{ user: me, password: hunter2, ${permissions} }] }`)
        const broker = yield* Brokers.start("nats", { args: ["-c", config] })

        yield* NatsPubSub.make({ url: at(broker, "me:hunter2"), prefix: "mine" })
        const { message, reason } = yield* refused({ url: at(broker, "me:hunter2"), prefix: "yours" })

        assert.strictEqual(reason, "rights")
        assert.match(message, /allow it every channel that begins with yours\. or set PUBSUB_PREFIX/)
      })
    )

    it.effect("checks the certificate of the broker, and shows its own [BK-05]", () =>
      Effect.gen(function* () {
        const tls = Brokers.certificates(yield* emptyFolder, "IP:127.0.0.1")
        const args = ["--tls", "--tlscert", tls.cert, "--tlskey", tls.key, "--tlscacert", tls.ca, "--tlsverify"]
        const broker = yield* Brokers.start("nats", { args })

        yield* NatsPubSub.make({ url: at(broker, "me", "tls"), tls })
        const unknown = yield* refused({ url: at(broker, "me", "tls") })
        const anonymous = yield* refused({ url: at(broker, "me", "tls"), tls: { ca: tls.ca } })
        const misnamed = yield* refused({ url: Redacted.make(`tls://localhost:${broker.port}`), tls })

        assert.strictEqual(misnamed.reason, "certificate")
        assert.match(unknown.message, /^the TLS connection to the broker .* failed \(.+\): set PUBSUB_TLS_CA to/)
        assert.strictEqual(unknown.reason, "certificate")
        assert.include(["certificate", "unreachable"], anonymous.reason)
      })
    )

    it.effect("uses TLS where the broker requires it, whatever the scheme says [BK-05]", () =>
      Effect.gen(function* () {
        const { ca, cert, key } = Brokers.certificates(yield* emptyFolder)
        const broker = yield* Brokers.start("nats", { args: ["--tls", "--tlscert", cert, "--tlskey", key] })

        yield* NatsPubSub.make({ url: at(broker, "me"), tls: { ca } })
        const { message, reason } = yield* refused({ url: at(broker, "me:hunter2") })

        assert.strictEqual(reason, "certificate")
        assert.match(message, /set PUBSUB_TLS_CA to the authority of its certificate/)
      })
    )

    it.effect("does not start where no NATS is, or none with TLS, and says what to change [BK-05]", () =>
      Effect.gen(function* () {
        const { ca } = Brokers.certificates(yield* emptyFolder)
        const plain = yield* Server
        const postgres = Redacted.make(`nats://me:hunter2@${new URL(inject("postgresUrl")).host}`)

        const [withScheme, withFiles, other] = yield* Effect.all(
          [
            refused({ url: at(plain, "me:hunter2", "tls") }),
            refused({ url: at(plain, "me:hunter2"), tls: { ca } }),
            refused({ url: postgres })
          ],
          { concurrency: "unbounded" }
        )

        for (const { message, reason } of [withScheme, withFiles, other]) {
          assert.strictEqual(reason, "protocol", message)
          assert.match(
            message,
            /does not reply in the protocol of NATS.* \(.*\): check that it runs, and that PUBSUB_URL leads to the port of/
          )
        }
        assert.match(withScheme.message, /begin PUBSUB_URL with nats:\/\/ if that server has no TLS$/)
        assert.match(
          withFiles.message,
          /set no PUBSUB_TLS_CA, PUBSUB_TLS_CERT and PUBSUB_TLS_KEY if that server has no TLS$/
        )
      })
    )

    it.effect("does not start with a server that is too old [BK-05]", () =>
      Effect.gen(function* () {
        for (const version of ["1.4.1", "2.1.9"]) {
          const old = yield* ancient(version)
          const { message, reason } = yield* refused({ url: Redacted.make(`nats://127.0.0.1:${old}`) })

          assert.strictEqual(reason, "version")
          assert.include(message, `is too old (its version is ${version}): run NATS 2.2`)
        }
      })
    )
  })
})

/** The port of a server that says what a server of 2018 says, but for its version. */
const ancient = Effect.fnUntraced(function* (version: string) {
  const info = { server_id: "old", version, go: "go1.11.5", max_payload: 1_048_576, proto: 1 }
  return yield* portOf(
    Net.createServer((socket) => {
      socket.write(`INFO ${JSON.stringify(info)}\r\n`)
      socket.on("error", () => {})
      socket.on("data", (chunk) => chunk.includes("PING") && socket.write("PONG\r\n"))
    })
  )
})
