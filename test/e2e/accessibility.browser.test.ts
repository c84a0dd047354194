/** Every view of the page as axe judges it. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { LogSourceId, nil } from "../../src/domain/Ids.ts"
import * as Agent from "../support/agent.ts"
import * as Browser from "../support/browser.ts"
import * as Client from "../support/client.ts"
import { adminToken, agent, ask, serve, signedIn } from "../support/dashboard.ts"
import * as PgProxy from "../support/PgProxy.ts"
import * as Postgres from "../support/Postgres.ts"

const [wide, phone] = [
  { width: 1_280, height: 900 },
  { width: 390, height: 844 }
]

/** Asserts that axe finds nothing in a view, light and dark, wide and on a phone, and that nothing is wider than the window. */
const isClean = Effect.fnUntraced(function* (page: Browser.Watched["page"], view: string) {
  for (const size of [phone, wide]) {
    for (const colorScheme of ["dark", "light"] as const) {
      yield* ask(async () => {
        await page.setViewportSize(size)
        await page.emulateMedia({ colorScheme })
      })
      const look = `${view}, ${colorScheme}, ${size.width} wide`
      assert.deepStrictEqual(yield* Browser.violations(page), [], look)
      const width = yield* ask(() => page.evaluate("document.documentElement.scrollWidth"))
      assert.isAtMost(Number(width), size.width, look)
    }
  }
})

const live = Layer.mergeAll(PgProxy.layer.pipe(Layer.provideMerge(Postgres.layer)), Browser.layer)

layer(live, { excludeTestServices: true })("axe finds no fault", (it) => {
  it.effect("in the sign-in, and in the dashboard of a user without agents [LF-40]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const api = yield* Client.admin(url, adminToken)
      const username = `user-${crypto.randomUUID().slice(0, 8)}`
      yield* api.users.create({ payload: { username, is_admin: false } })
      const { token } = yield* api.users.createToken({ params: { username }, payload: { name: "laptop" } })
      const { page } = yield* Browser.open(url)

      yield* ask(() => page.getByLabel("Token").waitFor())
      yield* isClean(page, "the sign-in")
      yield* ask(async () => {
        await page.getByLabel("Token").fill("nobodys-token")
        await page.getByRole("button", { name: "Sign in" }).click()
        await page.getByRole("alert").getByText("does not know this token").waitFor()
      })
      yield* isClean(page, "a sign-in that was refused")

      const { page: own } = yield* signedIn(url, token)
      yield* ask(async () => {
        await own.getByRole("heading", { name: "Healthy" }).waitFor()
        await own.getByText("You have no agent yet.").waitFor()
      })
      yield* isClean(own, "a dashboard without agents")
      yield* ask(async () => {
        await own.goto(`${url}/#/agents/${crypto.randomUUID()}`)
        await own.getByText("There is no such agent").waitFor()
      })
      yield* isClean(own, "an agent that there is not")
    })
  )

  it.effect("in the dashboard of several replicas, its ranges, its losses and its list [LF-40]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve({
        METADATA_MAX_BATCH_SIZE: "1",
        METADATA_MAX_PENDING: "1",
        METADATA_QUEUE_CAPACITY: "1"
      })
      yield* serve()
      const keys = Array.from({ length: 40 }, (_, key) => `key-${key}`)
      const { token } = yield* agent(url, keys)
      const report = yield* Client.agent(url, token)
      yield* report(Object.fromEntries(keys.map((key) => [key, "1"])))
      const { page } = yield* signedIn(url)

      yield* ask(async () => {
        await page.getByRole("heading", { name: "Needs attention" }).waitFor()
        await page.getByRole("region", { name: "Replicas" }).waitFor()
        await page.locator(".rows tbody a").first().waitFor()
        await page.locator(".plot").first().waitFor()
      })
      yield* isClean(page, "a dashboard that needs attention")
      yield* ask(async () => {
        await page.getByRole("button", { name: "1 day" }).click()
        await page.locator(".plot").first().waitFor()
        await page.getByRole("button", { name: "Connection" }).click()
        await page.getByLabel("Search agents").fill("nothing-of-the-kind")
        await page.getByText("No agent has all these words.").waitFor()
      })
      yield* isClean(page, "a day, and a search that finds nothing")
    })
  )

  it.effect("in the page of an agent, from before it was seen until it has gone [LF-40]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const sql = yield* PgClient.PgClient
      const { id, name, token } = yield* agent(url, ["cpu", "disk", "never"])
      const { page } = yield* signedIn(url)
      yield* ask(async () => {
        await page.goto(`${url}/#/agents/${id}`)
        await page.getByText("not known yet").waitFor()
        await page.getByText("Nobody has connected to this agent yet.").waitFor()
      })
      yield* isClean(page, "an agent that was never seen")

      yield* Effect.scoped(
        Effect.gen(function* () {
          const client = yield* Agent.client(url, { "coder-session-token": token })
          yield* sql`
              INSERT INTO connection_logs
                (id, connect_time, organization_id, workspace_owner_id, workspace_id, workspace_name, agent_name, type,
                 ip, connection_id)
              SELECT gen_random_uuid(), now(), gen_random_uuid(), owner_id, workspaces.id, workspaces.name, ${name},
                'vscode', '10.0.0.7', gen_random_uuid()
              FROM workspaces JOIN users ON users.id = owner_id WHERE username = ${name}`
          yield* client.UpdateLifecycle({ lifecycle: { state: "starting" } })
          for (const level of ["error", "warn", "info", "debug", "trace"] as const) {
            yield* client.BatchCreateLogs({
              log_source_id: LogSourceId.make(nil),
              logs: Array.from({ length: 20 }, (_, line) => ({ output: `line ${line} of ${level}`, level }))
            })
          }
          for (const value of ["10 %", "30 %"]) {
            yield* client.BatchUpdateMetadata({
              metadata: [
                { key: "cpu", result: { value, error: "" } },
                { key: "disk", result: { value: "", error: "the script ended with 1" } }
              ]
            })
            yield* ask(() => page.getByText(value, { exact: true }).waitFor())
          }
          yield* ask(async () => {
            await page.getByText("100 lines").waitFor()
            await page.getByRole("img", { name: "2 values from 10 to 30" }).waitFor()
            await page.getByRole("heading", { name: "Lifecycle starting" }).waitFor()
            await page.getByText("10.0.0.7").waitFor()
            await page.getByText("every 1.0 s").first().click()
          })
          yield* isClean(page, "an agent that is connected")
        })
      )
      yield* ask(async () => {
        await page.locator(".stale", { hasText: "cpu" }).getByText("stale").waitFor()
        await page.getByRole("dialog").getByText("disconnected", { exact: true }).waitFor()
      })
      yield* isClean(page, "an agent that has gone")
    })
  )

  it.effect("in all of the administration, its questions, refusals and new tokens [LF-40]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { name: username } = yield* agent(url, ["cpu"])
      const { page } = yield* signedIn(url)
      const button = (name: string) => page.getByRole("button", { name, exact: true })
      yield* ask(async () => {
        await page.goto(`${url}/#/admin`)
        await button(`Tokens of ${username}`).waitFor()
      })
      yield* isClean(page, "users and workspaces")

      yield* ask(async () => {
        await button(`Tokens of ${username}`).click()
        await page.getByLabel("Name of the token").fill("laptop")
        await page.getByLabel("Days until it expires").fill("30")
        await button("Create a token").click()
        await page.getByRole("rowheader", { name: "laptop" }).waitFor()
        await page.getByRole("heading", { name: `The token of ${username}: laptop` }).waitFor()
      })
      yield* isClean(page, "tokens, one of them new")

      yield* ask(async () => {
        await page.getByRole("button", { name: "Hide" }).click()
        await button(`Delete ${username}`).click()
        await page.getByRole("dialog").waitFor()
      })
      yield* isClean(page, "the question before a user is deleted")
      yield* ask(async () => {
        await button("Delete the user").click()
        await page.getByRole("alert").getByText("owns workspaces").waitFor()
      })
      yield* isClean(page, "a deletion that was refused")

      yield* ask(async () => {
        const workspace = page.getByRole("row").filter({ hasText: username }).filter({ hasText: "dev" })
        await workspace.getByRole("button", { name: "Agents of dev" }).click()
        await page.getByRole("cell", { name: "cpu" }).waitFor()
        await page.getByLabel("Name of the agent").fill("second")
        await page.getByLabel("Keys that it reports").fill("load = cat /proc/loadavg")
        await button("Create an agent").click()
        await page.getByRole("heading", { name: "The token of second" }).waitFor()
        await page.getByRole("cell", { name: "load" }).waitFor()
      })
      yield* isClean(page, "agents, one of them new")
      yield* ask(async () => {
        await button("New token of second").click()
        await page.getByRole("dialog").waitFor()
      })
      yield* isClean(page, "the question before a token is replaced")
      yield* ask(async () => {
        await button("Cancel").click()
        await page.route("**/api/v2/workspaces", () => {})
        await page.reload()
        await page.getByRole("region", { name: "Workspaces and agents" }).getByText("Waiting for the list").waitFor()
        await button(`Tokens of ${username}`).waitFor()
      })
      yield* isClean(page, "a list that does not come")
    })
  )

  it.effect("while the database or the service is away [LF-40]", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const { service, url } = yield* serve({ DATABASE_URL: Redacted.value(proxy.url) })
      const { page } = yield* signedIn(url)
      const clean = (title: string) =>
        Effect.andThen(
          ask(() => page.getByRole("heading", { name: title }).waitFor()),
          isClean(page, title)
        )
      yield* clean("Healthy")

      yield* proxy.down(
        Effect.andThen(
          ask(() => page.reload()),
          clean("The service is not ready: the database does not answer")
        )
      )

      yield* service.kill("SIGKILL")
      yield* clean("No connection to the service")
    })
  )
})
