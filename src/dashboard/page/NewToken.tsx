/** A token that was just made: the page shows it this once, with the lines to run. */
import { Copy } from "./Copy.tsx"

export interface Made {
  readonly token: string
  /** The name of the agent or of the token. */
  readonly name: string
  readonly isAgent: boolean
  /** A key that the agent may report. */
  readonly key?: string | undefined
}

/** The address of the service, without a slash at its end. */
const service = () => new URL(".", document.baseURI).href.replace(/\/$/, "")

/** Quotes a text for a shell. */
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`

const linesFor = ({ isAgent, key = "cpu", token }: Made): ReadonlyArray<readonly [what: string, line: string]> =>
  isAgent
    ? [
        [
          "The agent of this project",
          `CODER_AGENT_URL=${service()} CODER_AGENT_TOKEN=${token} npx metadata-batcher agent`
        ],
        [
          "Any program, such as curl",
          `curl -H 'Coder-Session-Token: ${token}' -H 'Content-Type: application/json' -d ${quoted(`{${JSON.stringify(key)}: "42 %"}`)} ${service()}/api/v2/workspaceagents/me/metadata`
        ],
        ["The two variables of the stock agent", `CODER_AGENT_URL=${service()} CODER_AGENT_TOKEN=${token}`]
      ]
    : [["The link that signs in", `${service()}/#token=${token}`]]

export const NewToken = ({ made, onEnd }: { made: Made; onEnd: () => void }) => (
  <section class="panel made" aria-labelledby="made" role="status">
    <h2 id="made">The token of {made.name}</h2>
    <p>It is shown this once: copy it now.</p>
    <p>
      <code>{made.token}</code> <Copy text={made.token} />
    </p>
    <dl>
      {linesFor(made).map(([what, line]) => (
        <div key={what}>
          <dt>{what}</dt>
          <dd>
            <code>{line}</code> <Copy text={line} />
          </dd>
        </div>
      ))}
    </dl>
    <button type="button" class="quiet" onClick={onEnd}>
      Hide
    </button>
  </section>
)
