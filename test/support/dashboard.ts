/** A service that is a process of its own, with agents, and its dashboard in a real browser. */
import { Effect, Redacted } from "effect"
import * as Browser from "./browser.ts"
import * as Client from "./client.ts"
import { freePort } from "./freePort.ts"
import * as Postgres from "./Postgres.ts"
import * as ServiceProcess from "./serviceProcess.ts"

export const adminToken = "an-administrators-token"

/** A service on the suite's database. A later one can listen on the same port. */
export const serve = Effect.fnUntraced(function* (env: Readonly<Record<string, string>> = {}) {
  const { url } = yield* Postgres.TestDatabase
  const service = yield* ServiceProcess.start(["serve"], {
    DATABASE_URL: Redacted.value(url),
    ADMIN_TOKEN: adminToken,
    METADATA_FLUSH_INTERVAL: "200 millis",
    METADATA_ANNOUNCE_INTERVAL: "0",
    PORT: env["PORT"] ?? String(yield* freePort),
    ...env
  })
  const [, address] = yield* service.line(/^ready at (\S+)/)
  return { service, url: address! }
})

/** An agent that declares these keys, sampled once a second, with its client and its owner's token. */
export const agent = Effect.fnUntraced(function* (url: string, keys: ReadonlyArray<string>) {
  const api = yield* Client.admin(url, adminToken)
  const name = `user-${crypto.randomUUID().slice(0, 8)}`
  yield* api.users.create({ payload: { username: name, is_admin: false } })
  const { token: owner } = yield* api.users.createToken({ params: { username: name }, payload: { name: "test" } })
  const { id } = yield* api.workspaces.create({ payload: { name: "dev", owner: name } })
  const metadata = keys.map((key) => ({ key, script: `measure ${key}`, interval: 1, timeout: 1, display_order: 0 }))
  const [created] = yield* api.agents.create({ params: { workspace: id }, payload: { agents: [{ name, metadata }] } })
  return { id: created!.id, name, owner, token: created!.token }
})

export const signedIn = (url: string, token = adminToken) => Browser.open(`${url}/#token=${token}`)

/** Runs what asks the browser, and fails as it does. */
export const ask = <A>(question: () => Promise<A>) => Effect.promise(question)
