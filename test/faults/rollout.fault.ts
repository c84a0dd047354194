/** Two replicas behind a balancer are replaced one after the other. */
import { Clock, Effect, FileSystem, Scope } from "effect"
import * as Path from "node:path"
import * as Brokers from "../support/brokers.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Programs from "../support/programs.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"
import * as Database from "./Database.ts"
import * as Fleet from "./Fleet.ts"
import * as Ledger from "./Ledger.ts"
import * as Replica from "./Replica.ts"
import { and, expect, lasting, scenario } from "./scenario.ts"
import * as World from "./World.ts"

/** The configuration of a balancer without stickiness, as a deployment has it. */
const configuration = (folder: string, port: number, replicas: ReadonlyArray<number>) => `
daemon off;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  upstream replicas {
    # as in src/operations/deploy/nginx.conf
    least_conn;
    ${replicas.map((port) => `server 127.0.0.1:${port} max_fails=0;`).join("\n    ")}
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;
      proxy_read_timeout 60s;
      proxy_next_upstream error timeout;
    }
  }
}
`

/** Starts a balancer in front of replicas, and returns its address. */
const balancer = Effect.fnUntraced(function* (replicas: ReadonlyArray<number>) {
  const folder = yield* emptyFolder
  const port = yield* Brokers.freePort
  const file = Path.join(folder, "nginx.conf")
  yield* FileSystem.FileSystem.use((fs) => fs.writeFileString(file, configuration(folder, port, replicas)))
  yield* ServiceProcess.startCommand(Programs.pathOf("nginx")!, ["-p", folder, "-c", file, "-e", "stderr"])
  const url = `http://127.0.0.1:${port}`
  yield* World.settle(
    Effect.promise(() =>
      fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false
      )
    ),
    (ok) => ok
  )
  return url
})

const rollout = Effect.gen(function* () {
  // a replica that takes over lives on after the load
  const scope = yield* Effect.scope
  const database = yield* Database.make()
  const ledger = Ledger.make()
  const ports = [yield* Brokers.freePort, yield* Brokers.freePort]
  const settings = { DATABASE_URL: database.url, DRAIN_DELAY: "1 second", DRAIN_TIME: "4 seconds" }
  const startAt = (port: number) => Replica.start({ ...settings, PORT: `${port}` })
  const replicas = yield* Effect.forEach(ports, startAt)
  const url = yield* balancer(ports)
  const fleet = yield* Fleet.make({ ledger, url, agents: 40, keys: 5 })
  yield* database.witness

  const { outputs, times } = yield* fleet.whileReporting(
    { to: () => url, every: 250 },
    Effect.gen(function* () {
      yield* lasting("3 seconds")
      const outputs: Array<string> = []
      const times: Array<number> = []
      for (const [index, replica] of replicas.entries()) {
        times.push(yield* Clock.currentTimeMillis)
        yield* replica.kill("SIGTERM")
        yield* replica.exit
        times.push(yield* Clock.currentTimeMillis)
        outputs.push(replica.output())
        yield* Scope.provide(startAt(ports[index]!), scope)
        times.push(yield* Clock.currentTimeMillis)
        yield* lasting("3 seconds")
      }
      return { outputs, times }
    })
  )
  const compared = yield* World.settle(
    Effect.map(database.rows, (rows) => ledger.compare(rows)),
    ({ missing }) => missing.length === 0
  )
  const gap = ledger.longestGap()
  return and(
    World.lossless(Ledger.outcome(compared)),
    expect(compared.invented === 0, `${compared.invented} rows hold values that nobody sent`),
    expect((yield* database.regressions) === 0, "an older value was put over a newer one"),
    expect(
      outputs.every((output) => output.includes("none lost")),
      "a replica lost entries"
    ),
    expect(
      gap.millis < 2_000,
      `an agent was away for ${gap.millis} ms; from the end of a replica and the start of the next: ${times.map((time) => gap.from - time).join(", ")} ms`
    )
  )
})

Programs.describeWith("nginx", () => {
  scenario("37 · two replicas behind a balancer are replaced one after the other", rollout)
})
