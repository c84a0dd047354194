/** A button that copies a text. */
import { useState } from "preact/hooks"

export const Copy = ({ text }: { text: string }) => {
  const [copied, setCopied] = useState<string>()
  // browsers have no clipboard for a page that came over a network without TLS
  if (!isSecureContext) return null
  return (
    <button
      type="button"
      class="quiet copy"
      aria-label={`Copy ${text.slice(0, 40)}`}
      onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(text))}
    >
      {copied === text ? "copied" : "copy"}
    </button>
  )
}
