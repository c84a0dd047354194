/**
 * Makes the pictures of the README: starts the service with its demonstration, opens the link that it prints in a real
 * Chromium, lets it run for a while, and looks.
 *
 * `npm run screenshots [seconds]`
 */
import { execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { setTimeout } from "node:timers/promises"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"

const seconds = Number(process.argv[2] ?? 150)
const wide = { viewport: { width: 1360, height: 900 } }
const folder = mkdtempSync(Path.join(tmpdir(), "metadata-batcher-screenshots-"))

const service = spawn(
  process.execPath,
  ["src/main.ts", "serve", "--demo-agents", "40", "--port", "0", "--data-dir", Path.join(folder, "postgres")],
  { stdio: ["ignore", "pipe", "inherit"] }
)

const link = await new Promise<string>((resolve, reject) => {
  let output = ""
  service.stdout.on("data", (chunk: Buffer) => {
    output += chunk
    const [, link] = /^ +dashboard +(http:\S+)/m.exec(output) ?? []
    if (link !== undefined) resolve(link)
  })
  service.on("exit", (code) => reject(new Error(`the service ended with ${code}:\n${output}`)))
})

const picture = async (
  browser: Browser,
  name: string,
  options: BrowserContextOptions,
  prepare: (page: Page) => Promise<unknown>,
  fullPage = false
) => {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  await page.goto(link)
  await page.getByRole("heading", { name: "Healthy" }).waitFor()
  await page.getByText("agent-1", { exact: true }).waitFor()
  await prepare(page)
  await setTimeout(1_000)
  await page.screenshot({ path: `test/screenshots/${name}.png`, fullPage })
  await context.close()
}

const openAgent = async (page: Page) => {
  await page.getByRole("link", { name: "agent-7", exact: true }).click()
  await page.getByRole("dialog").getByText("lines").waitFor()
  await page.getByRole("dialog").getByRole("row").nth(8).waitFor()
  await page
    .getByRole("img", { name: /^6 values/ })
    .first()
    .waitFor({ timeout: 60_000 })
}

try {
  await setTimeout(seconds * 1_000)
  const executablePath = execFileSync("which", [process.env["CHROMIUM"] ?? "chromium"], { encoding: "utf8" }).trim()
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] })
  // first, so that the others show how soon its values are seen
  await picture(browser, "agent", { viewport: { width: 1360, height: 1080 }, colorScheme: "dark" }, openAgent)
  await picture(browser, "light", { ...wide, colorScheme: "light" }, async () => {}, true)
  await picture(browser, "dark", { ...wide, colorScheme: "dark" }, async () => {}, true)
  const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: "light" } as const
  await picture(browser, "phone", phone, async () => {})
  await browser.close()
} finally {
  service.removeAllListeners("exit")
  const ended = new Promise((resolve) => service.on("exit", resolve))
  service.kill("SIGTERM")
  await ended
  rmSync(folder, { recursive: true })
}
