/** The form that asks for a token. */
import { useEffect, useRef } from "preact/hooks"
import { Mark } from "./Mark.tsx"

export const SignIn = ({ isRefused, onToken }: { isRefused: boolean; onToken: (token: string) => void }) => {
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.focus(), [isRefused])
  return (
    <main class="sign-in">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          const token = field.current!.value.trim()
          if (token !== "") onToken(token)
        }}
      >
        <h1>
          <Mark /> metadata-batcher
        </h1>
        <label for="token">Token</label>
        <input
          id="token"
          ref={field}
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          aria-invalid={isRefused}
          aria-describedby="token-help"
        />
        {isRefused && (
          <p class="bad" role="alert">
            The service does not know this token.
          </p>
        )}
        <p id="token-help" class="muted">
          That of a user shows their agents, that of an administrator all. A service that was started on this machine
          has printed a link that signs in.
        </p>
        <button type="submit">Sign in</button>
      </form>
    </main>
  )
}
