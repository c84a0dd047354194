/** The requests of an agent before it connects: they find out what is wrong, which the failure of a WebSocket cannot say. */
import { Data, Duration, Effect, Redacted } from "effect"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import * as Token from "../access/Token.ts"
import { declarePath } from "../agentapi/AgentHttpApi.ts"
import { path } from "../agentapi/AgentSocketApi.ts"
import * as ApiVersion from "../agentapi/ApiVersion.ts"
import type { ErrorResponse } from "../platform/ErrorResponse.ts"
import type { Key } from "./Samples.ts"

export interface Service {
  readonly url: string
  readonly token: Redacted.Redacted<string>
}

/** The service does not know the token. */
export class TokenRefused extends Data.TaggedError("TokenRefused")<{ readonly url: string }> {
  override get message() {
    return `the service at ${this.url} refuses the token: set CODER_AGENT_TOKEN, or --token, to that of an agent of a workspace's latest build`
  }
}

/** The service does not let agents declare keys, or not these. */
export class KeysRefused extends Data.TaggedError("KeysRefused")<{ readonly message: string }> {}

/** There is something else at the address. */
export class NotAService extends Data.TaggedError("NotAService")<{ readonly url: string; readonly status: number }> {
  override get message() {
    return `${this.url} responds with the status ${this.status}, which no service of agents does: check --url`
  }
}

/** The service cannot be reached now, or cannot serve now. */
export class ServiceAway extends Data.TaggedError("ServiceAway")<{ readonly message: string }> {}

/** Fails if the service does not let the agent connect. */
export const check = Effect.fnUntraced(function* (service: Service) {
  const version = ApiVersion.format(ApiVersion.current)
  const response = yield* request(service, HttpClientRequest.get(`${service.url}${path}?version=${version}`))
  // it would be a WebSocket if the request had asked for one
  if (response.status !== 426) return yield* refusal(service, response)
})

/** Declares keys of an agent. A key that is declared already keeps its declaration. */
export const declare = Effect.fnUntraced(function* (service: Service, keys: ReadonlyArray<Key>) {
  const response = yield* request(
    service,
    HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(`${service.url}${declarePath}`), {
      keys: keys.map(({ interval, key, timeout }) => ({
        key,
        interval: Duration.toSeconds(interval),
        timeout: Duration.toSeconds(timeout)
      }))
    })
  )
  if (response.status === 403 || response.status === 400) {
    const body = yield* Effect.orElseSucceed(response.json, () => ({}))
    const { message = "", validations: [first] = [] } = body as Partial<ErrorResponse>
    return yield* new KeysRefused({
      message: first === undefined ? message : `${message}: ${first.field} ${first.detail}`
    })
  }
  if (response.status !== 204) return yield* refusal(service, response)
})

// ----- internals -----

const request = ({ token, url }: Service, request: HttpClientRequest.HttpClientRequest) =>
  HttpClient.execute(HttpClientRequest.setHeader(request, Token.header, Redacted.value(token))).pipe(
    Effect.timeout("30 seconds"),
    Effect.mapError((cause) => new ServiceAway({ message: `there is no service at ${url} (${reasonOf(cause)})` }))
  )

const reasonOf = (error: Error): string => {
  const { cause } = error
  return cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : error.message
}

const refusal = ({ url }: Service, { status }: HttpClientResponse.HttpClientResponse) => {
  if (status === 401) return Effect.fail(new TokenRefused({ url }))
  if (status >= 500 || status === 429) {
    return Effect.fail(new ServiceAway({ message: `the service at ${url} cannot serve now (status ${status})` }))
  }
  return Effect.fail(new NotAService({ url, status }))
}
