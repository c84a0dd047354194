/** The plots of the page, and what it says where nothing has come yet. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Browser from "../support/browser.ts"
import * as Client from "../support/client.ts"
import { adminToken, agent, ask, serve, signedIn } from "../support/dashboard.ts"
import * as Postgres from "../support/Postgres.ts"

/** Keeps the texts that are drawn on each canvas since it was last cleared, with their heights. */
const keepTexts = `
  const { clearRect, fillText } = CanvasRenderingContext2D.prototype
  CanvasRenderingContext2D.prototype.clearRect = function (...place) {
    this.canvas.texts = []
    return clearRect.apply(this, place)
  }
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    const { f } = this.getTransform()
    ;(this.canvas.texts ??= []).push({ text, y: y + f })
    return fillText.call(this, text, x, y)
  }
`

interface Text {
  readonly text: string
  readonly y: number
}

/** The labels of the vertical axis of each plot. */
const labels = `[...document.querySelectorAll(".plot canvas")].map(({ texts }) => texts.filter(({ text }) => !/:/.test(text)))`

/** The number of a label, in seconds where it is a duration. */
const number = ({ text }: Text) => Number.parseFloat(text.replace(",", "")) / (text.endsWith(" ms") ? 1_000 : 1)

layer(Layer.merge(Postgres.layer, Browser.layer), { excludeTestServices: true })("the page", (it) => {
  it.effect("labels the axis of each plot with numbers at their heights, each once [LF-36]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { token } = yield* agent(url, ["cpu"])
      const report = yield* Client.agent(url, token)
      yield* report({ cpu: "12 %" })
      const { faults, page } = yield* Browser.open(`${url}/#token=${adminToken}`, {}, keepTexts)
      yield* ask(async () => {
        await page.locator(".plot", { hasText: "Agents connected" }).getByText("1", { exact: true }).waitFor()
        // legends come before what is drawn
        await page.waitForFunction(`${labels}.filter((texts) => texts.length > 1).length === 6`)
      })

      const plots = yield* ask(() => page.evaluate<ReadonlyArray<ReadonlyArray<Text>>>(labels))
      assert.deepStrictEqual(
        plots.at(-1)!.map(({ text }) => text),
        ["0", "1"]
      )
      for (const texts of plots) {
        assert.strictEqual(new Set(texts.map(({ text }) => text)).size, texts.length)
        const [zero, last] = [texts[0]!, texts.at(-1)!]
        for (const one of texts) {
          const height = ((zero.y - last.y) * number(one)) / number(last)
          assert.approximately(zero.y - one.y, height, 2, JSON.stringify(texts))
        }
      }
      assert.deepStrictEqual(faults, [])
    })
  )

  it.effect("shows ranges up to a day, ages and delays, and keeps the range in its address [LF-35]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { id, name, owner, token } = yield* agent(url, ["cpu"])
      const report = yield* Client.agent(url, token)
      const { faults, page } = yield* signedIn(url)
      const { page: watcher } = yield* signedIn(url, owner)
      yield* ask(async () => {
        await watcher.goto(`${url}/#/agents/${id}`)
        await watcher.getByRole("dialog").getByRole("heading", { name }).waitFor()
        await watcher.getByText("no value yet").waitFor()
      })
      yield* report({ cpu: "12 %" })
      const sql = yield* PgClient.PgClient
      // later than any point that the service itself keeps before the test has ended
      yield* sql`
        INSERT INTO replica_points (at, replica, agents, updates, rows, statements, notifies, pending, queued)
        SELECT now() + interval '30 seconds', replica, 20, 30, 10, 1, 1, 0, 0 FROM unnest(ARRAY['a:1', 'b:1']) AS replica`

      yield* ask(async () => {
        for (const title of ["Age when written", "From report to sight"]) {
          await page
            .locator(".plot", { hasText: title })
            .getByText(/\d+ ms|\d s/)
            .waitFor()
        }
        await page.getByRole("button", { name: "1 day" }).click()
        await page.getByRole("heading", { name: "The last day" }).waitFor()
        await page.locator(".plot", { hasText: "Agents connected" }).getByText("40", { exact: true }).waitFor()
        await page.waitForURL(/\?range=1d#/)
        await page.reload()
        await page.getByRole("button", { name: "1 day", pressed: true }).waitFor()
        await page.getByLabel("Search agents").fill(id)
        await page.waitForURL(new RegExp(`\\?search=${id}&range=1d#`))
      })
      assert.deepStrictEqual(faults, [])
    })
  )

  it.effect("says that it waits for logs, values and lists that do not come, and asks for lists again [LF-28]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { id } = yield* agent(url, ["cpu"])
      const { page } = yield* signedIn(url)
      yield* ask(async () => {
        await page.getByRole("heading", { name: "Healthy" }).waitFor()
        const hang = (pattern: string) => page.route(pattern, () => {})
        await hang("**/logs?*")
        await hang("**/watch-metadata")
        await page.goto(`${url}/#/agents/${id}`)
        await page.getByText("Waiting for the log").waitFor()
        await page.getByText("Waiting for the values").waitFor()
        await page.keyboard.press("Escape")

        await page.route("**/api/v2/users", (route) => route.abort())
        await page.getByRole("link", { name: "Administration" }).click()
        const users = page.getByRole("region", { name: "Users" })
        await users.getByText("Waiting for the list").waitFor()
        await page.unroute("**/api/v2/users")
        await users.getByRole("rowheader", { name: "admin", exact: true }).waitFor()
        await users.getByText("Waiting for the list").waitFor({ state: "detached" })
      })
    })
  )

  it.effect(
    "calls nothing of an agent live that is not connected, and names no platform before one is known [LF-37]",
    () =>
      Effect.gen(function* () {
        const { url } = yield* serve()
        const { id, name } = yield* agent(url, ["cpu"])
        const { page } = yield* signedIn(url)
        yield* ask(async () => {
          await page.getByRole("row").filter({ hasText: name }).getByText("not seen yet").waitFor()
          await page.goto(`${url}/#/agents/${id}`)
          const dialog = page.getByRole("dialog")
          await dialog.getByText("not seen yet").first().waitFor()
          await dialog.getByRole("region", { name: "Tailnet" }).getByText("not seen yet").waitFor()
          await dialog.getByText("not known yet").waitFor()
          for (const name of ["Metadata", "Logs"]) {
            await dialog.getByRole("region", { name }).getByText("the agent is not connected").waitFor()
          }
          assert.strictEqual(await dialog.getByText("live", { exact: true }).count(), 0)
        })
      })
  )
})
