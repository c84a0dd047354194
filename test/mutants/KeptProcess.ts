/** The process that runs tests, with all that it has loaded: Vitest would end it after each run. */
import {
  ForksPoolWorker,
  type PoolOptions,
  type PoolRunnerInitializer,
  type PoolWorker,
  type WorkerRequest
} from "vitest/node"

type Listener = (...args: Array<unknown>) => void

export class KeptProcess implements PoolRunnerInitializer {
  readonly name = "kept"
  #process: ForksPoolWorker | undefined
  #isReady = false

  createPoolWorker = (options: PoolOptions): PoolWorker => {
    const listeners: Array<readonly [event: string, Listener]> = []
    const reply = (type: "started" | "stopped") => {
      const ofMessages = listeners.filter(([event]) => event === "message")
      for (const [, listener] of ofMessages) listener({ type, __vitest_worker_response__: true })
    }
    return {
      name: this.name,
      cacheFs: true,
      start: async () => {
        if (this.#process !== undefined) return
        this.#process = new ForksPoolWorker(options)
        await this.#process.start()
      },
      // each run starts and stops its worker; the process hears of the first start only
      send: (message: WorkerRequest) => {
        if (message.type === "stop") reply("stopped")
        else if (message.type === "start" && this.#isReady) reply("started")
        else {
          this.#isReady = true
          this.#process?.send(message)
        }
      },
      on: (event, listener: Listener) => {
        listeners.push([event, listener])
        this.#process?.on(event, listener)
      },
      off: (event, listener: Listener) => {
        listeners.splice(
          listeners.findIndex((one) => one[0] === event && one[1] === listener),
          1
        )
        this.#process?.off(event, listener)
      },
      stop: async () => {
        for (const [event, listener] of listeners) this.#process?.off(event, listener)
        listeners.length = 0
      },
      deserialize: (data) => data
    }
  }

  /** The next run starts a process of its own. */
  async end(): Promise<void> {
    const process = this.#process
    this.#process = undefined
    this.#isReady = false
    await process?.stop()
  }
}
