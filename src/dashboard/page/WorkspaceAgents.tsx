/** The agents of a workspace, as an administrator makes and deletes them. */
import { Action, Field, Form, type Tools, useList, Waiting } from "./AdministrationTools.tsx"
import { change } from "./changes.ts"
import { Head } from "./Head.tsx"
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
  const { client, run } = tools
  const path = `/api/v2/workspaces/${id}/agents`
  const agents = useList<Agent>(tools, path)
  const create = async (name: string, metadata: ReturnType<typeof declarationsIn>): Promise<Made> => {
    const agents = [{ name, metadata }]
    const [made] = await change<ReadonlyArray<{ token: string }>>(client, "POST", path, { agents })
    return { token: made!.token, name, isAgent: true, key: metadata[0]?.key }
  }
  const rotate = async ({ id, metadata, name }: Agent): Promise<Made> => {
    const { token } = await change<{ token: string }>(client, "POST", `/api/v2/workspaceagents/${id}/token`)
    return { token, name, isAgent: true, key: metadata[0]?.key }
  }
  return (
    <>
      <table aria-label="Agents of the workspace">
        <Head words={["Agent", "Keys", "Actions"]} />
        <tbody>
          {agents?.map((agent) => (
            <tr key={agent.id}>
              <th scope="row">
                <a href={`#/agents/${agent.id}`}>{agent.name}</a>
              </th>
              <td>{agent.metadata.map(({ key }) => key).join(", ")}</td>
              <td class="buttons">
                <Action
                  tools={tools}
                  label={`New token of ${agent.name}`}
                  text={`Give the agent ${agent.name} a new token? The old one is no longer valid at once.`}
                  verb="Make a new token"
                  work={() => rotate(agent)}
                >
                  New token
                </Action>
                <Action
                  tools={tools}
                  label={`Delete ${agent.name}`}
                  text={`Delete the agent ${agent.name} with its values and its logs?`}
                  verb="Delete the agent"
                  work={() => change(client, "DELETE", `/api/v2/workspaceagents/${agent.id}`)}
                >
                  Delete
                </Action>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Waiting list={agents} />
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
