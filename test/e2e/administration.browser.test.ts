/** The administration on the page: users, tokens, workspaces and agents, made and deleted. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Browser from "../support/browser.ts"
import * as Client from "../support/client.ts"
import { adminToken, agent, ask, serve, signedIn } from "../support/dashboard.ts"
import * as Postgres from "../support/Postgres.ts"

layer(Layer.merge(Postgres.layer, Browser.layer), { excludeTestServices: true })("the administration", (it) => {
  it.effect("deletes nothing before it has asked, and says why it cannot [LF-31]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { name } = yield* agent(url, [])
      const { page } = yield* signedIn(url)
      const api = yield* Client.admin(url, adminToken)
      const exists = Effect.map(api.users.list(), (users) => users.some(({ username }) => username === name))
      yield* ask(async () => {
        await page.getByRole("link", { name: "Administration" }).click()
        await page.getByRole("button", { name: `Delete ${name}` }).click()
        await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click()
        await page.getByRole("dialog").waitFor({ state: "detached" })
      })
      assert.isTrue(yield* exists)

      yield* ask(async () => {
        await page.getByRole("button", { name: `Delete ${name}` }).click()
        await page.getByRole("dialog").getByRole("button", { name: "Delete the user" }).click()
        await page.getByRole("alert").getByText("owns workspaces").waitFor()
        const workspace = page.getByRole("row").filter({ hasText: name }).filter({ hasText: "dev" })
        await workspace.getByRole("button", { name: "Delete dev" }).click()
        await page.getByRole("dialog").getByRole("button", { name: "Delete the workspace" }).click()
        await workspace.waitFor({ state: "detached" })
        await page.getByRole("button", { name: `Delete ${name}` }).click()
        await page.getByRole("dialog").getByRole("button", { name: "Delete the user" }).click()
        await page.getByRole("button", { name: `Delete ${name}` }).waitFor({ state: "detached" })
      })
      assert.isFalse(yield* exists)
    })
  )

  it.effect("makes and revokes tokens that expire, and is for administrators alone [LF-32]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { name } = yield* agent(url, [])
      const { page } = yield* signedIn(url)
      const link = yield* ask(async () => {
        await page.getByRole("link", { name: "Administration" }).click()
        await page.getByRole("button", { name: `Tokens of ${name}` }).click()
        await page.getByLabel("Name of the token").fill("laptop")
        await page.getByLabel("Days until it expires").fill("30")
        await page.getByRole("button", { name: "Create a token" }).click()
        await page.getByRole("rowheader", { name: "laptop" }).waitFor()
        return (await page.locator(".made code").allTextContents())[1]!
      })
      const { page: other } = yield* Browser.open(link)
      yield* ask(async () => {
        await other.getByText(name, { exact: true }).first().waitFor()
        assert.strictEqual(await other.getByRole("link", { name: "Administration" }).count(), 0)
        await other.goto(`${url}/#/admin`)
        await other.getByRole("heading", { name: "Agents", exact: true }).waitFor()

        await page.getByRole("button", { name: `Revoke laptop of ${name}` }).click()
        await page.getByRole("dialog").getByRole("button", { name: "Revoke the token" }).click()
        await page.getByRole("rowheader", { name: "laptop" }).waitFor({ state: "detached" })
        await other.getByLabel("Token").waitFor()
      })
    })
  )
})
