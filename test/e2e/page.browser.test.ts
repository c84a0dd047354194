/** The page while its surroundings change as it renders, and when the service falls silent. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Browser from "../support/browser.ts"
import { adminToken, agent, ask, serve, signedIn } from "../support/dashboard.ts"
import * as Postgres from "../support/Postgres.ts"

/** Runs a script right after the page has rendered an element for the first time, before anything else can happen. */
const onFirst = (selector: string, script: string) => `
  new MutationObserver((_, observer) => {
    if (document.querySelector(${JSON.stringify(selector)}) === null) return
    observer.disconnect()
    ${script}
  }).observe(document, { childList: true, subtree: true })`

/** Makes the page believe that it is hidden or visible. */
const visibility = (isHidden: boolean) => `
  let isHidden = ${isHidden}
  Object.defineProperty(document, "hidden", { get: () => isHidden })
  const setHidden = (value) => {
    isHidden = value
    document.dispatchEvent(new Event("visibilitychange"))
  }`

/** Makes the page believe that people prefer dark colours, or do not. */
const colors = `
  const colors = Object.assign(new EventTarget(), { matches: false })
  window.matchMedia = () => colors
  window.setDark = (isDark) => {
    colors.matches = isDark
    colors.dispatchEvent(new Event("change"))
  }`

const signInLink = (url: string) => `${url}/#token=${adminToken}`

layer(Layer.merge(Postgres.layer, Browser.layer), { excludeTestServices: true })("the page", (it) => {
  it.effect("follows an address that changes while it renders [FT-33]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { id, name } = yield* agent(url, ["cpu"])

      const { page } = yield* Browser.open(
        signInLink(url),
        {},
        onFirst("header.bar", `location.hash = "#/agents/${id}"`)
      )

      yield* ask(() => page.getByRole("dialog").getByRole("heading", { name }).waitFor())
    })
  )

  it.effect("takes a token that arrives while it renders, and keeps it out of the address [FT-33]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()

      const { page } = yield* Browser.open(url, {}, onFirst(".sign-in", `location.hash = "#token=${adminToken}"`))

      yield* ask(() => page.getByRole("heading", { name: "Healthy" }).waitFor())
      assert.notInclude(page.url(), "token")
    })
  )

  it.effect("begins when it becomes visible while it renders [FT-33]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const init = `${visibility(true)}; ${onFirst("header.bar", "setHidden(false)")}`

      const { page } = yield* Browser.open(signInLink(url), {}, init)

      yield* ask(() => page.getByRole("heading", { name: "Healthy" }).waitFor())
    })
  )

  it.effect("keeps no stream open when it becomes hidden while it renders [FT-33]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const init = `${visibility(false)}; window.setHidden = setHidden; ${onFirst("header.bar", "setHidden(true)")}`
      const { page } = yield* Browser.open(url, {}, init)
      const open = new Set<unknown>()
      page.on("request", (request) => {
        if (request.url().includes("watch")) open.add(request)
      })
      page.on("requestfailed", (request) => open.delete(request))

      yield* ask(async () => {
        await page.getByLabel("Token").fill(adminToken)
        await page.getByRole("button", { name: "Sign in" }).click()
        await page.getByRole("heading", { name: "Connecting" }).waitFor()
        // streams begin and end after the frame of a rendering
        await page.evaluate(
          "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
        )
        if (open.size > 0) await page.waitForEvent("requestfailed", () => open.size === 0)
        await page.evaluate("setHidden(false)")
        await page.getByRole("heading", { name: "Healthy" }).waitFor()
        assert.strictEqual(open.size, 1)
      })
    })
  )

  it.effect("draws plots again in the colours that are preferred, after a change while it renders [FT-33]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()

      const { page } = yield* Browser.open(signInLink(url), {}, `${colors}; ${onFirst(".plot", "setDark(true)")}`)

      yield* ask(async () => {
        await page.locator(".uplot").first().waitFor()
        await page.evaluate(`document.querySelectorAll(".uplot").forEach((plot) => plot.classList.add("before"))`)
        await page.evaluate("setDark(false)")
        await page.locator(".uplot:not(.before)").first().waitFor()
      })
    })
  )

  it.effect("calls a service that has fallen silent lost, and goes on when it is back [FT-35]", () =>
    Effect.gen(function* () {
      const { service, url } = yield* serve()
      const { page } = yield* signedIn(url)
      yield* ask(() => page.getByRole("heading", { name: "Healthy" }).waitFor())

      yield* service.kill("SIGSTOP")
      yield* ask(() => page.getByRole("heading", { name: "No connection to the service" }).waitFor()).pipe(
        Effect.ensuring(service.kill("SIGCONT"))
      )

      yield* ask(() => page.getByRole("heading", { name: "Healthy" }).waitFor())
    })
  )

  it.effect("says that agents are not up to date when their list does not come, and asks again [FT-35]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { name } = yield* agent(url, [])
      const { page } = yield* signedIn(url)
      yield* ask(async () => {
        await page.getByRole("link", { name }).waitFor()
        await page.route("**/dashboard/agents?**", () => {})
        await page.getByText("not up to date").waitFor()
        await page.unroute("**/dashboard/agents?**")
        await page.getByText("not up to date").waitFor({ state: "detached" })
      })
    })
  )

  it.effect("says that an agent's page and plots are not up to date when they do not come [FT-35]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve()
      const { id } = yield* agent(url, [])
      const { page } = yield* signedIn(url)
      const old = page.getByText("not up to date")
      yield* ask(async () => {
        for (const [place, shown, pattern] of [
          [`#/agents/${id}`, page.getByText("not known yet"), "**/dashboard/agents/*"],
          ["?range=1d#/", page.locator(".plot").first(), "**/dashboard/history?**"]
        ] as const) {
          await page.goto(`${url}/${place}`)
          await shown.waitFor()
          await page.route(pattern, (route) => route.abort())
          await old.waitFor()
          await page.unroute(pattern)
          await old.waitFor({ state: "detached" })
        }
      })
    })
  )
})
