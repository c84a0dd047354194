/** The dashboard in a real browser, of a service that is a process of its own. */
import { NodeFileSystem } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { LogSourceId, nil } from "../../src/domain/Ids.ts"
import { PeerId, toBytes } from "../../src/tailnet/Peer.ts"
import * as Agent from "../support/agent.ts"
import * as Browser from "../support/browser.ts"
import * as Client from "../support/client.ts"
import { adminToken, agent, ask, serve, signedIn } from "../support/dashboard.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Postgres from "../support/Postgres.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"
import * as WireClient from "../tailnet/wireClient.ts"

// globals of functions that run in the browser

interface Scrolled {
  scrollTop: number
  readonly scrollHeight: number
  readonly clientHeight: number
}
declare const document: { readonly activeElement: { readonly textContent: string } }
declare const getComputedStyle: (element: unknown) => { readonly color: string; readonly textDecorationLine: string }
declare const requestAnimationFrame: (run: (now: number) => void) => void
declare const MutationObserver: new (
  onChange: (changes: ReadonlyArray<{ readonly addedNodes: { readonly length: number } }>) => void
) => { readonly observe: (element: unknown, options: object) => void }
declare const page: { marked?: boolean; mostRows: number; mostAdded: number }

const mark = () => void Object.assign(globalThis, { page: { marked: true } })
const isMarked = () => "page" in globalThis
const isFocused = (element: unknown) => element === document.activeElement
const focusedText = () => document.activeElement.textContent
const color = (element: unknown) => getComputedStyle(element).color
const decoration = (element: unknown) => getComputedStyle(element).textDecorationLine

/** Records how much of the table is in the page, and how much of it one turn of the page adds. */
const measureRows = (element: unknown) => {
  const view = element as { querySelectorAll: (selector: string) => { readonly length: number } }
  Object.assign(globalThis, { page: { mostRows: 0, mostAdded: 0 } })
  new MutationObserver((changes) => {
    const added = changes.reduce((sum, { addedNodes }) => sum + addedNodes.length, 0)
    page.mostAdded = Math.max(page.mostAdded, added)
    page.mostRows = Math.max(page.mostRows, view.querySelectorAll("tbody tr").length)
  }).observe(element, { childList: true, subtree: true })
}
const measured = () => ({ mostRows: page.mostRows, mostAdded: page.mostAdded })

const scrollThrough = async (element: unknown) => {
  const view = element as Scrolled
  const frame = () => new Promise(requestAnimationFrame)
  for (let step = 0; step <= 100; step++) {
    view.scrollTop = (step * (view.scrollHeight - view.clientHeight)) / 100
    await frame()
    await frame()
  }
}

const live = Layer.merge(Postgres.layer, Browser.layer)

layer(live, { excludeTestServices: true })("the dashboard", (it) => {
  it.effect("asks for a token, says when it is none, and keeps it out of the address", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { faults, page } = yield* Browser.open(url)
      const [field, button] = [page.getByLabel("Token"), page.getByRole("button", { name: "Sign in" })]

      yield* ask(async () => {
        await field.fill("nobodys-token")
        await button.click()
        await page.getByRole("alert").getByText("does not know this token").waitFor()
        await field.fill(adminToken)
        await button.click()
        await page.getByRole("heading", { name: "Healthy" }).waitFor()
        assert.strictEqual(page.url(), `${url}/`)
        await page.reload()
        await page.getByRole("heading", { name: "Healthy" }).waitFor()
        await page.getByRole("button", { name: "Sign out" }).click()
        await field.waitFor()
        await page.reload()
        await field.waitFor()
      })

      // the browser notes by itself what was refused
      assert.deepStrictEqual(
        faults.filter((fault) => !fault.includes("401 (Unauthorized)")),
        []
      )
    })
  )

  it.effect("shows values as they come without a reload, and greys them out when they stop", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { id, name, owner, token } = yield* agent(url, ["cpu", "disk", "never"])
      const { faults, page } = yield* signedIn(url, owner)
      yield* ask(() => page.evaluate(mark))
      const row = (key: string) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name: key }) })

      yield* Effect.scoped(
        Effect.gen(function* () {
          const report = yield* Client.agent(url, token)
          const again = Effect.delay(report({ cpu: "12 %", disk: "<img src=x onerror=alert(1)>" }), "500 millis")
          yield* Effect.raceFirst(
            Effect.forever(again),
            ask(async () => {
              await page.getByRole("link", { name }).click()
              await row("cpu").getByText("12 %").waitFor()
              await row("disk").getByText("<img src=x onerror=alert(1)>").waitFor()
              await row("never").getByText("no value yet").waitFor()
              assert.strictEqual(await page.locator(".stale").count(), 0)
            })
          )
          yield* report({ cpu: "97 %" })
          yield* ask(() => row("cpu").getByText("97 %").waitFor())
        })
      )
      yield* ask(async () => {
        await page.locator(".stale", { hasText: "cpu" }).getByText("stale").waitFor()
        // a line through it would say that it was deleted
        assert.strictEqual(await page.locator(".stale .text").first().evaluate(decoration), "none")
        await page.locator("dialog").getByText("disconnected", { exact: true }).waitFor()
        assert.isTrue(await page.evaluate(isMarked))
        assert.strictEqual(page.url(), `${url}/#/agents/${id}`)
      })

      assert.deepStrictEqual(faults, [])
    })
  )

  it.effect("shows how far an agent has come, what it logs and who is connected to it", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const sql = yield* PgClient.PgClient
      const { id, name, token } = yield* agent(url, [])
      yield* sql`
        INSERT INTO connection_logs
          (id, connect_time, organization_id, workspace_owner_id, workspace_id, workspace_name, agent_name, type, ip,
           connection_id)
        SELECT gen_random_uuid(), now(), gen_random_uuid(), owner_id, workspaces.id, workspaces.name, ${name}, 'vscode',
          '10.0.0.7', gen_random_uuid()
        FROM workspaces JOIN users ON users.id = owner_id WHERE username = ${name}`
      const { faults, page } = yield* Browser.open(`${url}/#token=${adminToken}`)
      yield* ask(() => page.goto(`${url}/#/agents/${id}`))
      const client = yield* Agent.client(url, { "coder-session-token": token })

      yield* client.UpdateLifecycle({ lifecycle: { state: "starting" } })
      yield* ask(() => page.getByRole("heading", { name: "Lifecycle starting" }).waitFor())
      yield* client.BatchCreateLogs({
        log_source_id: LogSourceId.make(nil),
        logs: Array.from({ length: 400 }, (_, line) => ({ output: `\u001b[31mline ${line}\u001b[0m`, level: "error" }))
      })
      yield* ask(async () => {
        // the last one: the log stays at its end
        await page.getByText("line 399", { exact: false }).waitFor()
        assert.isBelow(await page.locator(".log li").count(), 100)
        await page.getByText("400 lines").waitFor()
      })
      yield* client.UpdateLifecycle({ lifecycle: { state: "ready" } })
      yield* ask(async () => {
        await page.getByRole("heading", { name: "Lifecycle ready" }).waitFor()
        const connections = page.getByRole("region", { name: "Connections" })
        await connections.getByText("10.0.0.7").waitFor()
        await connections.getByText("open").waitFor()
      })

      assert.deepStrictEqual(faults, [])
    })
  )

  it.effect("shows the peers that have a tunnel to an agent, and which of them are lost", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { id, name, owner, token } = yield* agent(url, [])
      const { faults, page } = yield* signedIn(url, owner)
      const tailnet = page.getByRole("region", { name: "Tailnet" })
      const status = (text: string) => tailnet.getByRole("row").getByText(text, { exact: true })
      yield* ask(async () => {
        await page.getByRole("link", { name }).click()
        await tailnet.getByText("No peer has a tunnel to this agent.").waitFor()
      })

      const dial = (path: string, token: string) =>
        WireClient.connect(`${url}/api/v2/${path}`, { "coder-session-token": token })
      const node = { id: 1n, preferredDerp: 1 }
      const coordinating = yield* dial("workspaceagents/me/rpc?version=2.0", token)
      yield* coordinating.coordinate({ updateSelf: { node } })
      const client = yield* dial("tailnet?version=2.0", owner)
      yield* client.coordinate({ updateSelf: { node }, addTunnel: { id: toBytes(PeerId.make(id)) } })
      yield* ask(async () => {
        await tailnet.getByRole("heading", { name: "Tailnet connected" }).waitFor()
        await status("connected").waitFor()
        assert.strictEqual(await tailnet.getByRole("row").count(), 2)
      })

      yield* client.close
      yield* ask(() => status("lost").waitFor())
      assert.deepStrictEqual(faults, [])
    })
  )

  it.effect("shows people their own agents, and administrators all", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const [ada, bob] = [yield* agent(url, []), yield* agent(url, [])]
      const { page } = yield* signedIn(url, ada.owner)
      const { page: adminPage } = yield* signedIn(url)

      yield* ask(async () => {
        await page.getByRole("link", { name: ada.name }).waitFor()
        assert.strictEqual(await page.getByRole("link", { name: bob.name }).count(), 0)
        await page.goto(`${url}/#/agents/${bob.id}`)
        await page.getByText("There is no such agent").waitFor()
        await adminPage.getByLabel("Search agents").fill(bob.name)
        await adminPage.getByRole("link", { name: bob.name }).waitFor()
      })
    })
  )

  it.effect("turns red when something is dropped, and says what", () =>
    Effect.gen(function* () {
      const { url } = yield* serve({
        METADATA_MAX_BATCH_SIZE: "1",
        METADATA_MAX_PENDING: "1",
        METADATA_QUEUE_CAPACITY: "1"
      })
      const keys = Array.from({ length: 40 }, (_, key) => `key-${key}`)
      const { token } = yield* agent(url, keys)
      const { faults, page } = yield* signedIn(url)
      const lost = page.locator(".tile", { hasText: "Dropped or lost" })
      yield* ask(() => page.locator(".tile.fine", { hasText: "Dropped or lost" }).waitFor())
      const green = yield* ask(() => lost.locator(".value").evaluate(color))

      const report = yield* Client.agent(url, token)
      yield* report(Object.fromEntries(keys.map((key) => [key, "1"])))

      yield* ask(async () => {
        await page.getByRole("heading", { name: "Needs attention" }).waitFor()
        await page
          .getByLabel("Health")
          .getByText(/\d+ updates dropped: no room/)
          .waitFor()
        assert.match(await lost.locator(".value").innerText(), /^[1-9]/)
        assert.notStrictEqual(await lost.locator(".value").evaluate(color), green)
      })
      assert.deepStrictEqual(faults, [])
    })
  )

  it.effect("says that the service is away, and goes on by itself when it is back", () =>
    Effect.gen(function* () {
      const { service, url } = yield* serve()
      const { page } = yield* signedIn(url)
      yield* ask(async () => {
        await page.getByRole("heading", { name: "Healthy" }).waitFor()
        await page.evaluate(mark)
      })

      yield* service.kill("SIGTERM")
      yield* service.exit
      yield* ask(() => page.getByRole("heading", { name: "No connection to the service" }).waitFor())
      yield* serve({ PORT: new URL(url).port })

      yield* ask(async () => {
        await page.getByRole("heading", { name: "Healthy" }).waitFor()
        assert.isTrue(await page.evaluate(isMarked))
      })
    })
  )

  it.effect("is used by keyboard alone", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { name } = yield* agent(url, ["cpu"])
      const { faults, page } = yield* signedIn(url)
      const { keyboard } = page
      const focused = () => page.evaluate(focusedText)

      yield* ask(async () => {
        await page.getByRole("heading", { name: "Healthy" }).waitFor()
        while (!(await page.getByLabel("Search agents").evaluate(isFocused))) {
          await keyboard.press("Tab")
        }
        await keyboard.type(name)
        await page.getByText("1 found").waitFor()
        await keyboard.press("Tab")
        await keyboard.press("ArrowDown")
        assert.strictEqual(await focused(), name)
        await keyboard.press("Enter")
        await page.getByRole("dialog").getByRole("heading", { name }).waitFor()
        await keyboard.press("Escape")
        await page.getByRole("dialog").waitFor({ state: "detached" })
        assert.strictEqual(await focused(), name)
      })
      assert.deepStrictEqual(faults, [])
    })
  )
})

layer(Layer.merge(NodeFileSystem.layer, Browser.layer), { excludeTestServices: true })("npm start", (it) => {
  it.effect("prints a link that signs in, after each start the same", () =>
    Effect.gen(function* () {
      const options = ["--port", "0", "--data-dir", yield* emptyFolder]
      const first = yield* ServiceProcess.npmStart(options)
      const [, link] = yield* first.line(/^ +dashboard +(http:\S+)/)

      const { faults, page } = yield* Browser.open(link!)
      yield* ask(async () => {
        await page.getByRole("heading", { name: "Healthy" }).waitFor()
        await page.locator(".tile", { hasText: "Agents connected" }).getByText("20", { exact: true }).waitFor()
        await page.locator(".rows").getByText("ready", { exact: true }).first().waitFor()
        assert.notInclude(page.url(), "token")
      })
      assert.deepStrictEqual(faults, [])

      yield* first.kill("SIGTERM")
      yield* first.exit
      const second = yield* ServiceProcess.start(["serve", ...options])
      const [, again] = yield* second.line(/^ +dashboard +(http:\S+)/)
      assert.strictEqual(new URL(again!).hash, new URL(link!).hash)
    })
  )
})

layer(live, { excludeTestServices: true })("the dashboard of ten thousand agents", (it) => {
  it.effect("scrolls and searches with sixty rows in the page, and adds no more at a time", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { id } = yield* agent(url, ["cpu"])
      const sql = yield* PgClient.PgClient
      yield* sql`
        INSERT INTO workspace_agents (id, workspace_build_id, name, auth_token_hash)
        SELECT gen_random_uuid(), workspace_build_id, 'agent-' || number, decode(md5(number::text), 'hex')
        FROM workspace_agents, generate_series(1, 9999) AS number WHERE workspace_agents.id = ${id}`
      const { faults, page } = yield* signedIn(url)
      const rows = page.locator(".rows tbody a")

      const { mostAdded, mostRows } = yield* ask(async () => {
        await page.getByText("10,000", { exact: true }).waitFor()
        await page.locator(".rows").evaluate(measureRows)
        await page.locator(".rows").evaluate(scrollThrough)
        await page.getByRole("link", { name: "agent-9999", exact: true }).waitFor()
        assert.isBelow(await rows.count(), 60)
        for (const text of ["a", "ag", "agent-77", "agent-777", "agent-7777"]) {
          await page.getByLabel("Search agents").fill(text)
          await page.getByText(/ found$/).waitFor()
        }
        await page.getByText("1 found", { exact: true }).waitFor()
        await page.getByLabel("Search agents").fill("")
        await page.getByRole("button", { name: "Agent", exact: true }).click()
        await page.getByRole("link", { name: /^user-/ }).waitFor()
        return page.evaluate(measured)
      })

      // those in view, ten beyond either edge, and two gaps
      assert.isAtMost(mostRows, 60)
      assert.isAbove(mostRows, 10)
      assert.isAtMost(mostAdded, 7 * 60)
      assert.deepStrictEqual(faults, [])
    })
  )
})
