/** Users, their tokens, workspaces and agents, as an administrator makes and deletes them. */
import { useState } from "preact/hooks"
import { Action, Field, Form, Things, type Tools, useList, Waiting } from "./AdministrationTools.tsx"
import { change, ChangeRefused } from "./changes.ts"
import type { Client } from "./client.ts"
import { Confirm, type Question } from "./Confirm.tsx"
import { Head } from "./Head.tsx"
import { type Made, NewToken } from "./NewToken.tsx"
import { WorkspaceAgents } from "./WorkspaceAgents.tsx"

interface User {
  readonly username: string
  readonly is_admin: boolean
}

interface Token {
  readonly name: string
  readonly created_at: string
  readonly expires_at: string | null
  readonly last_used_at: string | null
}

interface Workspace {
  readonly id: string
  readonly name: string
  readonly owner: string
  readonly agents: number
}

export const Administration = ({ client }: { client: Client }) => {
  const [version, setVersion] = useState(0)
  const [problem, setProblem] = useState<string>()
  const [made, setMade] = useState<Made>()
  const [question, setQuestion] = useState<Question>()
  const run = (work: () => Promise<Made | void>) => {
    setProblem(undefined)
    work()
      .then((made) => setMade(made ?? undefined))
      .catch((error) => setProblem(error instanceof ChangeRefused ? error.message : "The service does not respond."))
      .finally(() => setVersion((version) => version + 1))
  }
  const tools: Tools = { client, version, run, ask: setQuestion }
  return (
    <>
      <h1>Administration</h1>
      {problem !== undefined && (
        <p class="bad" role="alert">
          {problem}
        </p>
      )}
      {made !== undefined && <NewToken made={made} onEnd={() => setMade(undefined)} />}
      <Users tools={tools} />
      <Workspaces tools={tools} />
      {question !== undefined && <Confirm question={question} onEnd={() => setQuestion(undefined)} />}
    </>
  )
}

const time = (at: string | null, none: string) => (at === null ? none : new Date(at).toLocaleString())

const Users = ({ tools }: { tools: Tools }) => {
  const { client, run } = tools
  const users = useList<User>(tools, "/api/v2/users")
  return (
    <section class="panel administration" aria-labelledby="users">
      <h2 id="users">Users</h2>
      <Things
        words={["Name", "Rights"]}
        beneath="Tokens"
        things={users?.map(({ is_admin, username }) => ({
          key: username,
          name: username,
          cells: [is_admin ? "administrator" : "own agents"],
          deletion: (
            <Action
              tools={tools}
              label={`Delete ${username}`}
              text={`Delete the user ${username} and all their tokens?`}
              verb="Delete the user"
              work={() => change(client, "DELETE", `/api/v2/users/${username}`)}
            >
              Delete
            </Action>
          ),
          beneath: <Tokens tools={tools} username={username} />
        }))}
      />
      <Form
        label="Create a user"
        onSend={({ admin, username }) =>
          run(async () => {
            await change(client, "POST", "/api/v2/users", { username, is_admin: admin === "on" })
          })
        }
      >
        <Field label="Name of the user" name="username" required />
        <label>
          <input type="checkbox" name="admin" /> administrator
        </label>
      </Form>
    </section>
  )
}

const secondsOfDay = 86_400

const Tokens = ({ tools, username }: { tools: Tools; username: string }) => {
  const { client, run } = tools
  const path = `/api/v2/users/${username}/tokens`
  const tokens = useList<Token>(tools, path)
  return (
    <>
      <table aria-label={`Tokens of ${username}`}>
        <Head words={["Token", "Created", "Expires", "Last used", "Actions"]} />
        <tbody>
          {tokens?.map(({ created_at, expires_at, last_used_at, name }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{time(created_at, "")}</td>
              <td>{time(expires_at, "never")}</td>
              <td>{time(last_used_at, "never")}</td>
              <td>
                <Action
                  tools={tools}
                  label={`Revoke ${name} of ${username}`}
                  text={`Revoke the token ${name} of ${username}? Programs that use it are signed out at once.`}
                  verb="Revoke the token"
                  work={() => change(client, "DELETE", `${path}/${name}`)}
                >
                  Revoke
                </Action>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Waiting list={tokens} />
      <Form
        label="Create a token"
        onSend={({ days = "", name = "" }) =>
          run(async () => {
            const lifetime = days === "" ? {} : { lifetime: Math.round(Number(days) * secondsOfDay) }
            const { token } = await change<{ token: string }>(client, "POST", path, { name, ...lifetime })
            return { token, name: `${username}: ${name}`, isAgent: false }
          })
        }
      >
        <Field label="Name of the token" name="name" required />
        <Field label="Days until it expires" name="days" placeholder="never" type="number" min={1} />
      </Form>
    </>
  )
}

const Workspaces = ({ tools }: { tools: Tools }) => {
  const { client, run } = tools
  const workspaces = useList<Workspace>(tools, "/api/v2/workspaces")
  return (
    <section class="panel administration" aria-labelledby="workspaces">
      <h2 id="workspaces">Workspaces and agents</h2>
      <Things
        words={["Workspace", "Owner", "Agents"]}
        beneath="Agents"
        things={workspaces?.map(({ agents, id, name, owner }) => ({
          key: id,
          name,
          cells: [owner, agents],
          deletion: (
            <Action
              tools={tools}
              label={`Delete ${name}`}
              text={`Delete the workspace ${name} of ${owner} with its ${agents} agents?`}
              verb="Delete the workspace"
              work={() => change(client, "DELETE", `/api/v2/workspaces/${id}`)}
            >
              Delete
            </Action>
          ),
          beneath: <WorkspaceAgents tools={tools} id={id} />
        }))}
      />
      <Form
        label="Create a workspace"
        onSend={(workspace) =>
          run(async () => {
            await change(client, "POST", "/api/v2/workspaces", workspace)
          })
        }
      >
        <Field label="Name of the workspace" name="name" required />
        <Field label="Name of its owner" name="owner" required />
      </Form>
    </section>
  )
}
