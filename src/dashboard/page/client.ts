/**
 * The requests of the page.
 *
 * - A stream is followed, and an answer polled, only while the page is visible: browsers allow few connections to an
 *   origin, and hidden pages must not hold them.
 * - A stream that is silent for longer than three of its heartbeats is lost: it is aborted, reported as such, and made
 *   again, as is one that breaks.
 * - A polled answer has a time limit. The next request begins after the answer to the last one, so that an old answer never
 *   replaces a newer one.
 */
import { useEffect, useRef, useState } from "preact/hooks"
import { pause } from "./pause.ts"
import { makeReader, type ServerSentEvent } from "./serverSentEvents.ts"
import { useListener } from "./useListener.ts"

/** The service refused a request. */
export class Refused extends Error {
  readonly status: number
  constructor(status: number) {
    super(`the service responded with ${status}`)
    this.status = status
  }
}

export interface Client {
  /** Returns JSON. Fails with {@link Refused} for any status but 200. */
  readonly get: <A>(path: string, signal: AbortSignal) => Promise<A>
  /** Sends a change, and returns the response whatever its status is. */
  readonly send: (method: string, path: string, body?: object) => Promise<Response>
  /** Reads a stream until it ends, fails or is aborted. `onBytes` is called for everything that arrives. */
  readonly read: (
    path: string,
    onEvent: (event: ServerSentEvent) => void,
    onBytes: () => void,
    signal: AbortSignal
  ) => Promise<void>
}

/** `onRefused` is called when the token is not, or no longer, that of a user. */
export const make = (token: string, onRefused: () => void): Client => {
  const call = async (path: string, headers: Readonly<Record<string, string>>, init: RequestInit) => {
    // relative to the page, which a proxy may serve under a path of its own
    const response = await fetch(path.slice(1), {
      ...init,
      headers: { "coder-session-token": token, ...headers },
      cache: "no-store",
      credentials: "omit"
    })
    if (response.status === 401) onRefused()
    return response
  }
  const request = async (path: string, accept: string, signal: AbortSignal) => {
    const response = await call(path, { accept }, { signal })
    if (!response.ok) {
      await response.body?.cancel()
      throw new Refused(response.status)
    }
    return response
  }
  return {
    send: (method, path, body) =>
      call(
        path,
        { "content-type": "application/json" },
        body === undefined ? { method } : { method, body: JSON.stringify(body) }
      ),
    get: async (path, signal) => (await request(path, "application/json", signal)).json(),
    read: async (path, onEvent, onBytes, signal) => {
      const { body } = await request(path, "text/event-stream", signal)
      const read = makeReader()
      const chunks = body!.pipeThrough(new TextDecoderStream()).getReader()
      for (let chunk = await chunks.read(); !chunk.done; chunk = await chunks.read()) {
        onBytes()
        for (const event of read(chunk.value)) onEvent(event)
      }
    }
  }
}

export type Connection = "connecting" | "live" | "lost"

/** Returns the reason why the service is not ready in words of the service, or undefined if it does not respond. */
export const useUnready = (isLost: boolean): string | undefined => {
  const [problem, setProblem] = useState<string>()
  useEffect(() => {
    if (!isLost) return
    const controller = new AbortController()
    const ask = async (signal: AbortSignal) => {
      const text = await fetch("readyz", { cache: "no-store", credentials: "omit", signal }).then(
        (response) => response.text(),
        () => ""
      )
      if (!controller.signal.aborted) setProblem(/^not ready: (.+)/.exec(text)?.[1])
    }
    void poll(ask, 1_000, controller.signal)
    return () => controller.abort()
  }, [isLost])
  return isLost ? problem : undefined
}

/** Returns whether the page is visible. */
export const useIsVisible = (): boolean => {
  const [isVisible, setVisible] = useState(!document.hidden)
  useListener(document, "visibilitychange", () => setVisible(!document.hidden))
  return isVisible
}

export interface StreamOptions {
  readonly path: () => string
  /** A stream of another identity is another stream. */
  readonly identity: string
  /** The longest time between two signs of life that the service promises, in milliseconds. */
  readonly heartbeatMillis: number
  readonly onEvent: (event: ServerSentEvent) => void
}

/** Follows a stream while the page is visible, and returns its state. The pauses between attempts grow to five seconds. */
export const useStream = (client: Client, options: StreamOptions): Connection => {
  const [connection, setConnection] = useState<Connection>("connecting")
  const isVisible = useIsVisible()
  const latest = useRef(options)
  latest.current = options
  useEffect(() => {
    if (!isVisible) return
    const whole = new AbortController()
    let attempts = 0
    const follow = async () => {
      while (!whole.signal.aborted) {
        const silence = limited(whole.signal, 3 * latest.current.heartbeatMillis)
        await client
          .read(
            latest.current.path(),
            (event) => {
              if (whole.signal.aborted) return
              attempts = 0
              setConnection("live")
              latest.current.onEvent(event)
            },
            silence.restart,
            silence.signal
          )
          .catch(() => {})
        silence.stop()
        if (whole.signal.aborted) return
        setConnection("lost")
        await pause(Math.min(5_000, 250 * 2 ** attempts++), whole.signal)
      }
    }
    void follow()
    return () => whole.abort()
  }, [client, options.identity, isVisible])
  return connection
}

/** Returns a signal that aborts with another one, and when a time has passed since its start or its last restart. */
const limited = (whole: AbortSignal, millis: number) => {
  const controller = new AbortController()
  const abort = () => controller.abort()
  let timer = setTimeout(abort, millis)
  whole.addEventListener("abort", abort)
  const stop = () => {
    clearTimeout(timer)
    whole.removeEventListener("abort", abort)
  }
  const restart = () => {
    clearTimeout(timer)
    timer = setTimeout(abort, millis)
  }
  return { signal: controller.signal, restart, stop }
}

/** Returns the time in milliseconds, once a second. */
export const useNow = (): number => {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000)
    return () => clearInterval(timer)
  }, [])
  return now
}

/** The longest time of a polled request. */
const timeLimitMillis = 10_000

/** Runs `request` at an interval, one after the other, each within the time limit, until the signal aborts. */
export const poll = async (
  request: (signal: AbortSignal) => Promise<unknown>,
  intervalMillis: number,
  signal: AbortSignal
): Promise<void> => {
  while (!signal.aborted) {
    const next = pause(intervalMillis, signal)
    const limit = limited(signal, timeLimitMillis)
    await request(limit.signal).catch(() => {})
    limit.stop()
    await next
  }
}

/** An answer, and the time of its request by `performance.now()`: the answer is no older than that. */
export interface Polled<A> {
  readonly value: A
  readonly askedAt: number
  /** Whether the last request failed, so that the answer is old. */
  readonly isOld: boolean
}

interface PolledPath<A> {
  readonly path: string
  readonly answer: Polled<A> | "missing"
}

const asOld = <A>(polled: PolledPath<A> | undefined): PolledPath<A> | undefined =>
  typeof polled?.answer === "object" ? { ...polled, answer: { ...polled.answer, isOld: true } } : polled

/**
 * Polls an answer while the page is visible. Returns undefined until there is one, and "missing" when the service says that
 * there is no such thing.
 */
export const usePolled = <A>(
  client: Client,
  path: string,
  intervalMillis: number
): Polled<A> | "missing" | undefined => {
  const [polled, setPolled] = useState<PolledPath<A>>()
  const isVisible = useIsVisible()
  useEffect(() => {
    if (!isVisible) return
    const controller = new AbortController()
    const { signal } = controller
    const ask = (limited: AbortSignal) => {
      const askedAt = performance.now()
      return client.get<A>(path, limited).then(
        (value) => {
          if (!signal.aborted) setPolled({ path, answer: { value, askedAt, isOld: false } })
        },
        (error) => {
          if (signal.aborted) return
          if (error instanceof Refused && error.status === 404) setPolled({ path, answer: "missing" })
          else setPolled(asOld)
        }
      )
    }
    void poll(ask, intervalMillis, signal)
    return () => controller.abort()
  }, [client, path, intervalMillis, isVisible])
  return polled?.path === path ? polled.answer : undefined
}
