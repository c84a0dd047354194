/** The agents of a workspace, as an administrator makes and deletes them. */
import { useCallback } from "preact/hooks"
import { Field, Form, type Tools, useList } from "./AdministrationTools.tsx"
import { change } from "./changes.ts"
import type { Made } from "./NewToken.tsx"

interface Agent {
  readonly id: string
  readonly name: string
  readonly metadata: ReadonlyArray<{ readonly key: string }>
}

/** Returns the keys of lines such as "load = cat /proc/loadavg"; what follows the sign is the script. */
const declarationsIn = (text: string) =>
  text.split("\n").flatMap((line, display_order) => {
    const [, key, script = ""] = /^\s*([^=]+?)\s*(?:=\s*(.*?)\s*)?$/.exec(line) ?? []
    return key === undefined ? [] : [{ key, script, display_order }]
  })

export const WorkspaceAgents = ({ id, tools }: { id: string; tools: Tools }) => {
  const { ask, client, run } = tools
  const path = `/api/v2/workspaces/${id}/agents`
  const agents = useList<Agent>(tools, path)
  const create = useCallback(
    async (name: string, metadata: ReturnType<typeof declarationsIn>): Promise<Made> => {
      const [made] = await change<ReadonlyArray<{ token: string }>>(client, "POST", path, {
        agents: [{ name, metadata }]
      })
      return { token: made!.token, name, isAgent: true, key: metadata[0]?.key }
    },
    [client, path]
  )
  const rotate = async ({ id, metadata, name }: Agent): Promise<Made> => {
    const { token } = await change<{ token: string }>(client, "POST", `/api/v2/workspaceagents/${id}/token`)
    return { token, name, isAgent: true, key: metadata[0]?.key }
  }
  return (
    <>
      <table aria-label="Agents of the workspace">
        <thead>
          <tr>
            <th scope="col">Agent</th>
            <th scope="col">Keys</th>
            <th scope="col">Actions</th>
          </tr>
        </thead>
        <tbody>
          {agents?.map((agent) => (
            <tr key={agent.id}>
              <th scope="row">
                <a href={`#/agents/${agent.id}`}>{agent.name}</a>
              </th>
              <td>{agent.metadata.map(({ key }) => key).join(", ")}</td>
              <td class="buttons">
                <button
                  type="button"
                  class="quiet"
                  aria-label={`New token of ${agent.name}`}
                  onClick={() =>
                    ask({
                      text: `Give the agent ${agent.name} a new token? The old one is no longer valid at once.`,
                      verb: "Make a new token",
                      onAgree: () => run(() => rotate(agent))
                    })
                  }
                >
                  New token
                </button>
                <button
                  type="button"
                  class="quiet"
                  aria-label={`Delete ${agent.name}`}
                  onClick={() =>
                    ask({
                      text: `Delete the agent ${agent.name} with its values and its logs?`,
                      verb: "Delete the agent",
                      onAgree: () => run(() => change(client, "DELETE", `/api/v2/workspaceagents/${agent.id}`))
                    })
                  }
                >
                  Delete
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Form
        label="Create an agent"
        onSend={({ keys = "", name = "" }) => run(() => create(name, declarationsIn(keys)))}
      >
        <Field label="Name of the agent" name="name" required />
        <label>
          Keys that it reports, one a line, each with its script{" "}
          <textarea name="keys" rows={3} spellcheck={false} placeholder="load = cut -d ' ' -f 1 /proc/loadavg" />
        </label>
      </Form>
    </>
  )
}
