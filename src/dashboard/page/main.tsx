/** The page: signs a user in, and shows the overview, the agents and one agent. */
import { render } from "preact"
import { useMemo, useState } from "preact/hooks"
import { Agent } from "./Agent.tsx"
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

const useAgentInAddress = () => {
  const [agent, setAgent] = useState(agentInAddress)
  useListener(window, "hashchange", () => setAgent(agentInAddress()))
  return agent
}

const Page = () => {
  const [token, setToken] = useState(Session.read)
  const [isRefused, setRefused] = useState(false)

  // a link that signs in may be opened in a tab that shows the page already
  useListener(window, "hashchange", () => {
    if (location.hash.startsWith("#token=")) setToken(Session.read())
  })

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
  const agent = useAgentInAddress()
  return (
    <>
      <header class="bar">
        <a class="name" href="#/">
          <Mark />
          metadata-batcher
        </a>
        <nav aria-label="More">
          <a href="/docs">API</a>
          <a href="/metrics">Metrics</a>
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
        <Overview client={client} />
        <Agents client={client} isAdmin={typeof viewer === "object" && viewer.value.is_admin} />
      </main>
      {agent && <Agent key={agent} client={client} id={agent} />}
    </>
  )
}

render(<Page />, document.getElementById("app")!)
