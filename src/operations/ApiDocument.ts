/**
 * The OpenAPI document of the HTTP API, with a description of each tag, parameter, response and place of a token.
 *
 * The contracts name these things by short words. A test finds a word that has no description here.
 */
import { type HttpApi, type HttpApiGroup, OpenApi } from "effect/http-api"

const about = `Agents report small values; people watch them live, and administrators keep users, workspaces and agents.

Everyone shows a token, in the header \`Coder-Session-Token\` or as a bearer token; a browser's event streams and WebSockets also in
the query. Every error response is \`{message, detail?, validations?}\`, with the name of the error in \`_tag\`.`

const tags: Readonly<Record<string, string>> = {
  users: "Users and their tokens, for administrators.",
  secrets: "Secrets that the agents of a user get, for the user and administrators.",
  workspaces: "Workspaces, for administrators. A workspace belongs to a user and holds agents.",
  agents: "Agents, their tokens and their declarations, for administrators.",
  usage: "The use of workspaces, for their owners.",
  watch: "Metadata and logs of an agent, once and live, for the users who may read it.",
  read: "An agent with everything that belongs to it, for the users who may read it.",
  dashboard: "The agents that a user may see, a page at a time.",
  overview: "The state of the service and its figures, for every user.",
  agent: "The connection of an agent.",
  "agent-http": "The calls of agents that need no connection.",
  build: "The release and the latency of the service, for everyone.",
  tailnet: "The network between people and agents.",
  relays: "The relays of the network, for everyone."
}

const parameters: Readonly<Record<string, string>> = {
  username: "The name of a user; upper and lower case are the same.",
  name: "The name of a token or a secret.",
  workspace: "The id of a workspace.",
  agent: "The id of an agent.",
  "last-event-id": "The id of the last event that was received: the stream continues behind it.",
  after: "The id of a log line: only later ones are returned.",
  before: "The id of a log line: only earlier ones are returned.",
  follow: "Keep the response open, and send lines as they arrive.",
  format: "The format of the lines: json or text.",
  no_compression: "Send the messages of a WebSocket uncompressed.",
  search: "Words, each of which is in the id, the name, the workspace or the owner of an agent, or begins its state.",
  sort: "The column to sort by.",
  range: "The time that the points cover: ten minutes, an hour, six hours or a day.",
  order: "The direction of the sort.",
  offset: "How many agents to skip.",
  limit: "The most agents to return.",
  version: "The version of the API that the client speaks, such as 2.0.",
  role: "The role of the connection. Without it the agent reports, and is shown as connected.",
  resume_token: "The token with which a client takes its peer up again after a lost connection.",
  wait: "Accepted and ignored: the response always waits for the claim.",
  match: "A URL that the external provider has to match.",
  url: "The name of `match` in older agents.",
  id: "The id of the external provider, instead of a URL.",
  listen: "Accepted and ignored: there is no sign-in to wait for."
}

const responses: Readonly<Record<string, string>> = {
  Success: "The result.",
  "<No Content>": "Done; there is nothing to return.",
  BadRequest: "The request is not valid; `validations` names the fields.",
  Unauthenticated: "The token is missing, wrong, revoked or expired.",
  Forbidden: "The token is valid, and its owner may not do this.",
  TooManyConnections: "The owner of the token has too many connections open.",
  AccessUnavailable: "Tokens cannot be looked up now: try again later.",
  DirectoryUnavailable: "Users, workspaces and agents cannot be read or written now: try again later.",
  NameTaken: "The name is taken; of a secret, its variable or its file.",
  UserNotFound: "There is no user of this name.",
  UserNeeded: "The user owns workspaces, or is the first administrator.",
  TokenNotFound: "The user has no token of this name.",
  TooManySecrets: "The user would have too many secrets, or too many bytes of them.",
  SecretNotFound: "The user has no secret of this name.",
  WorkspaceNotFound: "There is no such workspace, or it is not the caller's.",
  AgentNotFound: "There is no such agent, or the caller may not read it.",
  AgentUnavailable: "The agent cannot be read now: try again later.",
  AgentsUnavailable: "Agents cannot be looked up now: try again later.",
  MetadataUnavailable: "The metadata cannot be read now: try again later.",
  LogsUnavailable: "The logs cannot be read now: try again later.",
  ContextNotFound: "The agent has reported no context.",
  ConnectionRefused: "The service cannot speak with this client; the message says why.",
  SessionUnavailable: "The session cannot begin now: try again later.",
  Refused: "The call is refused; the message says why.",
  TailnetRefused: "The service does not speak this version, or the parameters are not valid.",
  ResumeTokenRefused: "The resume token is not valid: connect without it."
}

const places: Readonly<Record<string, string>> = {
  header: "The token in a header.",
  bearer: "The token as a bearer token.",
  query: "The token in the query, for browsers, which can set no header on event streams and WebSockets.",
  cookie: "The token in a cookie, as older agents show it.",
  accessToken: "The token in the query by another name, as older agents show it."
}

/** Returns the description of a word, if it has one. */
const described = (descriptions: Readonly<Record<string, string>>, word: string): { readonly description?: string } => {
  const description = descriptions[word]
  return description === undefined ? {} : { description }
}

/** Returns the sentences for the names of a response, or the names without one as they are. */
const describe = (names: string) =>
  names
    .split(" | ")
    .map((name) => responses[name] ?? name)
    .join(" Or: ")

const methods = ["get", "head", "post", "put", "patch", "delete", "options"] as const

/** Returns the operations of an address, each with its method. */
export const operationsOf = (item: OpenApi.OpenAPISpecPathItem) =>
  methods.flatMap((method) => {
    const operation = item[method]
    return operation === undefined ? [] : [{ method, operation }]
  })

/** Returns the document. */
export const make = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>
): OpenApi.OpenAPISpec => {
  const document = OpenApi.fromApi(api)
  const operation = (given: OpenApi.OpenAPISpecOperation): OpenApi.OpenAPISpecOperation => ({
    ...given,
    parameters: given.parameters.map((parameter) => ({
      ...described(parameters, parameter.name),
      ...parameter
    })),
    responses: Object.fromEntries(
      Object.entries(given.responses).map(([status, response]) => [
        status,
        { ...response, description: describe(response.description) }
      ])
    )
  })
  return {
    ...document,
    info: { ...document.info, description: about },
    tags: document.tags.map((tag) => ({ ...described(tags, tag.name), ...tag })),
    paths: Object.fromEntries(
      Object.entries(document.paths).map(([path, item]) => [
        path,
        Object.fromEntries(operationsOf(item).map(({ method, operation: one }) => [method, operation(one)]))
      ])
    ),
    components: {
      ...document.components,
      securitySchemes: Object.fromEntries(
        Object.entries(document.components.securitySchemes).map(([name, scheme]) => [
          name,
          { ...described(places, name), ...scheme }
        ])
      )
    }
  }
}
