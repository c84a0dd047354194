/** The lines of "Connect an agent", run as they are written against a service. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { setTimeout } from "node:timers/promises"

const adminToken = "the token of an administrator"

/** The settings of a service that the lines can report to. */
export const settings = {
  ADMIN_TOKEN: adminToken,
  AGENT_MAY_DECLARE_KEYS: "true",
  METADATA_FLUSH_INTERVAL: "100 millis"
}

/** Reads what the service has, or makes what the body says. */
const request = async <A>(url: string, body?: unknown): Promise<A> => {
  const headers = { "Coder-Session-Token": adminToken, "Content-Type": "application/json" }
  const response = await fetch(
    url,
    body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) }
  )
  if (!response.ok) throw new Error(`${url} responds with ${response.status}: ${await response.text()}`)
  return (await response.json()) as A
}

interface Sample {
  readonly description: { readonly key: string }
  readonly result: { readonly value: string }
}

/** Waits until a key of an agent has a value. */
const reported = async (url: string, key: string) => {
  for (let attempt = 0; attempt < 300; attempt++) {
    const samples = await request<ReadonlyArray<Sample>>(url)
    if (samples.some(({ description, result }) => description.key === key && result.value !== "")) return
    await setTimeout(100)
  }
  throw new Error(`no value of ${key} came`)
}

/** Runs the lines in a folder, one after the other, until the key of each has a value. */
export const run = async (folder: string, url: string) => {
  await request(`${url}/api/v2/users`, { username: "ada" })
  const workspace = await request<{ readonly id: string }>(`${url}/api/v2/workspaces`, { name: "dev", owner: "ada" })
  const agents = [{ name: "main", metadata: [{ key: "cpu", script: "", interval: 10, timeout: 10, display_order: 0 }] }]
  const [agent] = await request<ReadonlyArray<{ readonly id: string; readonly token: string }>>(
    `${url}/api/v2/workspaces/${workspace.id}/agents`,
    { agents }
  )
  const { id, token } = agent!

  const [, section] = /^## Connect an agent$([^]*?)^## /m.exec(readFileSync("src/operations/README.md", "utf8"))!
  const lines = Array.from(section!.matchAll(/```sh\n([^]*?)```/g), ([, line]) => line!)
  for (const [line, key] of [
    [lines[0]!, "load"],
    [lines[1]!, "cpu"]
  ] as const) {
    const command = line.replaceAll("http://127.0.0.1:3000", url).replaceAll("…", token)
    const child = spawn("sh", ["-c", command], {
      cwd: folder,
      detached: true,
      env: { ...process.env, CODER_AGENT_TOKEN: token },
      stdio: ["ignore", "inherit", "inherit"]
    })
    const exit = once(child, "exit")
    await reported(`${url}/api/v2/workspaceagents/${id}/metadata`, key)
    if (child.exitCode === null) process.kill(-child.pid!, "SIGTERM")
    await exit
  }
}
