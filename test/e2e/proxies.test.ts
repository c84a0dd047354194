/** The configurations of nginx and Caddy in front of the service, with TLS. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import * as Agent from "../support/agent.ts"
import { freePort } from "../support/freePort.ts"
import { adminToken, agent, serve } from "../support/dashboard.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Nginx from "../support/nginx.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Programs from "../support/programs.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

const proxies: ReadonlyArray<{
  readonly program: Programs.Program
  readonly configure: (place: Nginx.Place) => { readonly files: Record<string, string>; readonly args: Array<string> }
}> = [
  {
    program: "nginx",
    configure: (place) => Nginx.nginx(place, true)
  },
  {
    program: "caddy",
    configure: ({ folder, port, services }) => ({
      files: {
        Caddyfile: `{\n\tadmin off\n\tauto_https off\n\tstorage file_system ${folder}/storage\n}\n${Nginx.replaced(
          Nginx.deployed("Caddyfile"),
          [
            [
              "metadata.example.com {",
              `https://127.0.0.1:${port} {\n\ttls ${folder}/certificate.pem ${folder}/certificate.key`
            ],
            ["127.0.0.1:3000", services.join(" ")],
            ["/var/log/caddy/metadata-batcher.log", `${folder}/access.log`]
          ]
        )}`
      },
      args: ["run", "--adapter", "caddyfile", "--config", `${folder}/Caddyfile`]
    })
  }
]

const curl = (...args: ReadonlyArray<string>) => execFileSync("curl", ["-ks", ...args], { encoding: "utf8" })

layer(Layer.merge(Postgres.layer, NodeFileSystem.layer), { excludeTestServices: true })("the service behind", (it) => {
  for (const { configure, program } of proxies) {
    Programs.describeWith(program, () => {
      it.effect("serves pages, agents and events with TLS, and no token is in the log of the proxy [LF-33]", () =>
        Effect.gen(function* () {
          const folder = yield* emptyFolder
          const { url: direct } = yield* serve()
          const { id, owner, token } = yield* agent(direct, ["cpu"])
          const port = yield* freePort
          const certificate = Path.join(folder, "certificate")
          execFileSync(
            "openssl",
            `req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -keyout ${certificate}.key -out ${certificate}.pem`.split(
              " "
            ),
            { stdio: "pipe" }
          )
          const { args, files } = configure({ folder, port, services: [new URL(direct).host] })
          for (const [name, content] of Object.entries(files)) writeFileSync(Path.join(folder, name), content)
          yield* ServiceProcess.startCommand(Programs.pathOf(program)!, args, { HOME: folder })
          const url = `https://127.0.0.1:${port}`
          yield* Effect.try(() => curl("--fail", `${url}/readyz`)).pipe(
            Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 100 })
          )

          assert.include(curl(`${url}/`), "<title>metadata-batcher</title>")
          const connection = yield* Agent.connect(
            url,
            { "coder-session-token": token },
            { acceptsAnyCertificate: true }
          )
          assert.deepStrictEqual(
            yield* Agent.exchange(connection, Agent.report("1", Agent.sample("cpu", "12 %"))),
            Agent.accepted("1")
          )
          const events = yield* ServiceProcess.startCommand("curl", [
            "-ksN",
            `${url}/api/v2/workspaceagents/${id}/watch-metadata?coder_session_token=${owner}`
          ])
          yield* events.line(/"value":"12 %"/)
          // the proxy writes its log when a request ends
          yield* events.kill("SIGTERM")
          curl("-H", `Authorization: Bearer ${adminToken}`, `${url}/api/v2/users`)

          const log = yield* Effect.sync(() => readFileSync(Path.join(folder, "access.log"), "utf8")).pipe(
            Effect.repeat({
              until: (log) => ["/api/v2/users", "/watch-metadata"].every((path) => log.includes(path)),
              schedule: Schedule.spaced("50 millis")
            })
          )
          for (const secret of [token, owner, adminToken]) assert.notInclude(log, secret)
        })
      )
    })
  }
})
