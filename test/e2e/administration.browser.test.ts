/** The administration on the page: users, tokens, workspaces and agents, made and deleted. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { execFileSync } from "node:child_process"
import * as Browser from "../support/browser.ts"
import * as Client from "../support/client.ts"
import { adminToken, agent, ask, serve, signedIn } from "../support/dashboard.ts"
import * as Postgres from "../support/Postgres.ts"

layer(Layer.merge(Postgres.layer, Browser.layer), { excludeTestServices: true })("the administration", (it) => {
  it.effect("makes a user, a workspace and an agent, whose token it shows once with lines that work [LF-30]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { faults, page } = yield* signedIn(url)
      const line = yield* ask(async () => {
        await page.getByRole("link", { name: "Administration" }).click()
        await page.getByLabel("Name of the user").fill("grace")
        await page.getByRole("button", { name: "Create a user" }).click()
        await page.getByRole("rowheader", { name: "grace", exact: true }).waitFor()

        await page.getByLabel("Name of the workspace").fill("lab")
        await page.getByLabel("Name of its owner").fill("grace")
        await page.getByRole("button", { name: "Create a workspace" }).click()
        await page.getByRole("button", { name: "Agents of lab" }).click()
        await page.getByLabel("Name of the agent").fill("main")
        await page.getByLabel("Keys that it reports").fill("the agent's load = cat /proc/loadavg\ndisk")
        await page.getByRole("button", { name: "Create an agent" }).click()
        await page.getByRole("cell", { name: "the agent's load, disk" }).waitFor()

        await page.getByRole("heading", { name: "The token of main" }).waitFor()
        const lines = await page.locator(".made code").allTextContents()
        assert.include(lines[1]!, `CODER_AGENT_URL=${url} CODER_AGENT_TOKEN=${lines[0]} npx metadata-batcher agent`)
        return lines[2]!
      })
      assert.deepStrictEqual(yield* Browser.violations(page), [])
      execFileSync("sh", ["-c", line], { stdio: "pipe" })

      yield* ask(async () => {
        await page.getByRole("link", { name: "main" }).click()
        await page.getByText("42 %", { exact: true }).waitFor()
        await page.keyboard.press("Escape")
        await page.reload()
        assert.strictEqual(await page.locator(".made").count(), 0)
      })
      assert.deepStrictEqual(faults, [])
    })
  )

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
