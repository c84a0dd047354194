/**
 * A real Chromium, and its pages, which record errors.
 *
 * The browser is the system's; CHROMIUM names another one.
 */
import { Context, Effect, Layer } from "effect"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"

export class Chromium extends Context.Service<Chromium, Browser>()("test/support/Chromium") {}

const executable = () => execFileSync("which", [process.env["CHROMIUM"] ?? "chromium"], { encoding: "utf8" }).trim()

export const layer = Layer.effect(
  Chromium,
  Effect.acquireRelease(
    Effect.promise(() => chromium.launch({ executablePath: executable(), args: ["--no-sandbox"] })),
    (browser) => Effect.promise(() => browser.close())
  )
)

export interface Watched {
  readonly page: Page
  /** Errors of scripts and of the console, and requests to other origins than the first page's. */
  readonly faults: ReadonlyArray<string>
}

/** A page of a browser that knows nothing yet. It is closed with the scope. `init` runs before any script of the page. */
export const open = Effect.fnUntraced(function* (url: string, options: BrowserContextOptions = {}, init = "") {
  const browser = yield* Chromium
  const context = yield* Effect.acquireRelease(
    Effect.promise(() => browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })),
    (context) => Effect.promise(() => context.close())
  )
  const faults: Array<string> = []
  const page = yield* Effect.promise(() => context.newPage())
  page.setDefaultTimeout(60_000)
  page.on("pageerror", (error) => faults.push(error.message))
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") faults.push(message.text())
  })
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url())
    if (protocol !== "data:" && origin !== new URL(url).origin) faults.push(`a request to ${request.url()}`)
  })
  yield* Effect.promise(() => page.addInitScript(init))
  yield* Effect.promise(() => page.goto(url))
  return { page, faults } satisfies Watched
})

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

/** The violations that axe finds, in words. */
export const violations = (page: Page) =>
  Effect.promise(async () => {
    // evaluated past the policy of the page, which would not let it in
    await page.evaluate(`${axe}; undefined`)
    const found: ReadonlyArray<{
      readonly id: string
      readonly nodes: ReadonlyArray<object>
    }> = await page.evaluate("axe.run().then(({ violations }) => violations)")
    return found.map(({ id, nodes }) => `${id}: ${JSON.stringify(nodes.slice(0, 3))}`)
  })
