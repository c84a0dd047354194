/** The page where it is served, what it says is away, and what people find on it. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Browser from "../support/browser.ts"
import * as Client from "../support/client.ts"
import { adminToken, agent, ask, serve, signedIn } from "../support/dashboard.ts"
import * as PgProxy from "../support/PgProxy.ts"
import * as Postgres from "../support/Postgres.ts"

/** A proxy that serves another server under a path of its own, as one does in front of several programs. */
const under = (path: string, target: string) =>
  Effect.acquireRelease(
    Effect.callback<Http.Server>((resume) => {
      const server = Http.createServer((request, response) => {
        if (!request.url!.startsWith(`${path}/`)) return response.writeHead(404).end()
        const { headers, method } = request
        const passed = Http.request(
          target + request.url!.slice(path.length),
          { method: method!, headers },
          (answer) => {
            response.writeHead(answer.statusCode!, answer.headers)
            answer.pipe(response)
          }
        )
        response.on("close", () => passed.destroy())
        passed.on("error", () => response.destroy())
        return request.pipe(passed)
      }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`))

const manyAgents = Effect.fnUntraced(function* (url: string, prefix: string, count: number) {
  const api = yield* Client.admin(url, adminToken)
  const username = `user-${crypto.randomUUID().slice(0, 8)}`
  yield* api.users.create({ payload: { username, is_admin: false } })
  const { id } = yield* api.workspaces.create({ payload: { name: "many", owner: username } })
  const agents = Array.from({ length: count }, (_, index) => ({ name: `${prefix}-${index}`, metadata: [] }))
  yield* api.agents.create({ params: { workspace: id }, payload: { agents } })
})

layer(Layer.mergeAll(PgProxy.layer.pipe(Layer.provideMerge(Postgres.layer)), Browser.layer), {
  excludeTestServices: true
})("the page", (it) => {
  it.effect("works under a path of a proxy, the documentation too [LF-21]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { name, token } = yield* agent(url, ["cpu"])
      const report = yield* Client.agent(url, token)
      yield* report({ cpu: "12 %" })
      const proxied = yield* under("/mb", url)

      const { faults, page } = yield* Browser.open(`${proxied}/#token=${adminToken}`)
      yield* ask(async () => {
        await page.getByRole("heading", { name: "Healthy" }).waitFor()
        await page.getByRole("link", { name }).click()
        await page.getByText("12 %", { exact: true }).waitFor()
        await page.keyboard.press("Escape")
        await page.getByRole("link", { name: "Guide" }).click()
        await page.getByRole("heading", { level: 1, name: "operating the service" }).waitFor()
        assert.strictEqual(page.url(), `${proxied}/docs`)
        await page.getByRole("link", { name: "the HTTP API" }).click()
        await page.getByRole("heading", { level: 1, name: "the HTTP API" }).waitFor()
        await page.getByRole("link", { name: "the guide" }).click()
        await page.waitForURL(`${proxied}/docs`)
      })
      assert.deepStrictEqual(faults, [])
    })
  )

  it.effect(
    "documents itself and its API on pages in which axe finds no fault and nothing is wider than the window [LF-18]",
    () =>
      Effect.gen(function* () {
        const { url } = yield* serve()
        for (const [path, options] of ["docs", "docs/api"].flatMap((path) => [
          [path, { colorScheme: "light" }] as const,
          [path, { colorScheme: "dark", viewport: { width: 390, height: 844 } }] as const
        ])) {
          const { page } = yield* Browser.open(`${url}/${path}`, options)
          yield* ask(async () => {
            await page.getByRole("heading", { level: 1 }).waitFor()
            // the page itself is sandboxed, which keeps axe from running in it
            const html = await (await page.request.get(`${url}/${path}`)).text()
            await page.goto("about:blank")
            await page.setContent(html)
          })
          assert.deepStrictEqual(yield* Browser.violations(page), [])
          const width = yield* ask(() => page.evaluate("document.documentElement.scrollWidth"))
          assert.strictEqual(width, page.viewportSize()?.width)
        }
      })
  )

  it.effect("names the database when that is away, also after a reload [LF-22]", () =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const { url } = yield* serve({ DATABASE_URL: Redacted.value(proxy.url) })
      const { page } = yield* signedIn(url)
      yield* ask(() => page.getByRole("heading", { name: "Healthy" }).waitFor())

      yield* proxy.down(
        ask(async () => {
          await page.reload()
          await page.getByRole("heading", { name: "The service is not ready: the database does not answer" }).waitFor()
        })
      )

      yield* ask(() => page.getByRole("heading", { name: /^(Healthy|Needs attention)$/ }).waitFor())
    })
  )

  it.effect("keeps search and order in its address, finds ids, and signs other tabs in and out [LF-26]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { id, name } = yield* agent(url, [])
      yield* agent(url, [])
      const { page } = yield* signedIn(url)

      yield* ask(async () => {
        await page.getByRole("button", { name: "Owner" }).click()
        await page.getByLabel("Search agents").fill(id)
        await page.getByText("1 found").waitFor()
        await page.waitForURL(new RegExp(`\\?search=${id}&sort=owner#/$`))

        const other = await page.context().newPage()
        await other.goto(page.url())
        await other.getByText("1 found").waitFor()
        await other.getByRole("link", { name }).waitFor()
        assert.strictEqual(await other.getByLabel("Search agents").inputValue(), id)

        await other.getByRole("button", { name: "Sign out" }).click()
        await page.getByLabel("Token").waitFor()
      })
    })
  )

  it.effect("shows the interval, the script and the course of a value, and copies it and ids [LF-27]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { id, token } = yield* agent(url, ["cpu"])
      const { page } = yield* signedIn(url)

      yield* ask(async () => {
        await page.context().grantPermissions(["clipboard-read", "clipboard-write"])
        await page.goto(`${url}/#/agents/${id}`)
        await page.getByText("every 1.0 s").click()
        await page.getByText("measure cpu", { exact: true }).waitFor()
        await page.getByText("not known yet").waitFor()
        await page.getByRole("button", { name: `Copy ${id}` }).click()
        await page.getByText("copied").waitFor()
        assert.strictEqual(await page.evaluate("navigator.clipboard.readText()"), id)
      })
      const report = yield* Client.agent(url, token)
      for (const value of ["10 %", "30 %"]) {
        yield* report({ cpu: value })
        yield* ask(() => page.getByText(value, { exact: true }).waitFor())
      }
      yield* ask(async () => {
        await page.getByRole("img", { name: "2 values from 10 to 30" }).waitFor()
        await page.getByRole("button", { name: "Copy 30 %" }).click()
        await page.getByRole("row", { name: "cpu" }).getByText("copied").waitFor()
        assert.strictEqual(await page.evaluate("navigator.clipboard.readText()"), "30 %")
      })
    })
  )

  it.effect("says that it waits for a list that does not come, and scrolls it by page [LF-28]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      yield* manyAgents(url, "many", 300)
      const { page } = yield* Browser.open(url)
      yield* ask(async () => {
        let answer = () => {}
        const asked = new Promise<void>((resolve) => {
          answer = resolve
        })
        await page.route("**/dashboard/agents?*", async (route) => {
          await asked
          await route.continue()
        })
        await page.getByLabel("Token").fill(adminToken)
        await page.getByRole("button", { name: "Sign in" }).click()
        await page.getByText("Waiting for the list of agents").waitFor()
        answer()
        await page.getByRole("link", { name: "many-0" }).waitFor()

        const rows = page.getByRole("region", { name: "Rows" })
        await rows.focus()
        await page.keyboard.press("End")
        await page.getByRole("link", { name: "many-299" }).waitFor()
        await page.keyboard.press("Home")
        await page.getByRole("link", { name: "many-0" }).waitFor()
        await page.keyboard.press("PageDown")
        await page.waitForFunction("document.querySelector('.rows').scrollTop > 100")
      })
    })
  )

  it.effect("uses a wide screen, and shows agents before the plots on a phone [LF-29]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      // more than there are in view, so that there is a gap beneath them
      yield* manyAgents(url, "few", 60)
      const { page } = yield* signedIn(url)
      yield* ask(async () => {
        await page.setViewportSize({ width: 1_900, height: 1_000 })
        await page.locator(".plot").first().waitFor()
        assert.isAbove((await page.locator("main").boundingBox())!.width, 1_700)
        await page.setViewportSize({ width: 390, height: 844 })
        const top = async (selector: string) => (await page.locator(selector).first().boundingBox())!.y
        assert.isBelow(await top(".agents"), await top(".plots"))
        assert.isBelow(await top(".agents"), 844)
        // plots follow the width in the next frame
        await page.waitForFunction("document.documentElement.scrollWidth === 390")
        const end = async (selector: string) => {
          const { width, x } = (await page.locator(selector).first().boundingBox())!
          return x + width
        }
        assert.approximately(await end(".rows .column-reported"), await end(".rows"), 20)
      })
    })
  )
})
