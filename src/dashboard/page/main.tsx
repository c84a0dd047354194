/** The page: signs a user in, and shows the overview, the agents and one agent. */
import { render } from "preact"
import { useMemo, useState } from "preact/hooks"
import { Agent } from "./Agent.tsx"
import { Administration } from "./Administration.tsx"
import { Agents } from "./Agents.tsx"
import * as Client from "./client.ts"
import { Overview } from "./Overview.tsx"
import { Mark } from "./Mark.tsx"
import * as Session from "./session.ts"
import { SignIn } from "./SignIn.tsx"
import { useListener } from "./useListener.ts"
import "./page.css"

export interface Viewer {
  readonly username: string
  readonly is_admin: boolean
}

/** The agent that the address names. */
const agentInAddress = () => /^#\/agents\/([0-9a-f-]{36})$/.exec(location.hash)?.[1]

/** The part of the page that the address names. An agent lies above the part that was shown before. */
const usePlace = () => {
  const [agent, setAgent] = useState(agentInAddress)
  const [isAdministration, setAdministration] = useState(location.hash === "#/admin")
  useListener(window, "hashchange", () => {
    const agent = agentInAddress()
    setAgent(agent)
    if (agent === undefined) setAdministration(location.hash === "#/admin")
  })
  return { agent, isAdministration }
}

const Page = () => {
  const [token, setToken] = useState(Session.read)
  const [isRefused, setRefused] = useState(false)

  // a link that signs in may be opened in a tab that shows the page already
  useListener(window, "hashchange", () => {
    if (location.hash.startsWith("#token=")) setToken(Session.read())
  })

  // another tab has signed in or out
  useListener(window, "storage", () => setToken(Session.read()))

  const signIn = (token: string) => {
    Session.keep(token)
    setRefused(false)
    setToken(token)
  }
  const signOut = (wasRefused: boolean) => {
    Session.forget()
    setRefused(wasRefused)
    setToken(undefined)
  }

  return token === undefined ? (
    <SignIn isRefused={isRefused} onToken={signIn} />
  ) : (
    <Dashboard key={token} token={token} onSignOut={signOut} />
  )
}

const Dashboard = ({ onSignOut, token }: { token: string; onSignOut: (wasRefused: boolean) => void }) => {
  const client = useMemo(() => Client.make(token, () => onSignOut(true)), [token])
  const viewer = Client.usePolled<Viewer>(client, "/api/v2/dashboard/viewer", 60_000)
  const isAdmin = typeof viewer === "object" && viewer.value.is_admin
  const { agent, isAdministration } = usePlace()
  return (
    <>
      <header class="bar">
        <a class="name" href="#/">
          <Mark />
          metadata-batcher
        </a>
        <nav aria-label="More">
          {isAdmin && <a href="#/admin">Administration</a>}
          <a href="docs">Guide</a>
          <a href="docs/api">API</a>
          <a href="metrics">Metrics</a>
        </nav>
        {typeof viewer === "object" && (
          <span class="viewer">
            {viewer.value.username}
            {viewer.value.is_admin && <span class="muted"> · administrator</span>}
          </span>
        )}
        <button type="button" class="quiet" onClick={() => onSignOut(false)}>
          Sign out
        </button>
      </header>
      <main>
        {isAdministration && isAdmin ? (
          <Administration client={client} />
        ) : (
          <>
            <Overview client={client} />
            <Agents client={client} isAdmin={isAdmin} />
          </>
        )}
      </main>
      {agent && <Agent key={agent} client={client} id={agent} />}
    </>
  )
}

render(<Page />, document.getElementById("app")!)
