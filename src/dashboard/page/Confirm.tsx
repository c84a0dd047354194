/** A question before something is deleted. */
import { useEffect, useRef } from "preact/hooks"

export interface Question {
  readonly text: string
  /** The word of the button that agrees. */
  readonly verb: string
  readonly onAgree: () => void
}

export const Confirm = ({ onEnd, question }: { question: Question; onEnd: () => void }) => {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog ref={dialog} class="confirm" aria-labelledby="confirm" onClose={onEnd}>
      <p id="confirm">{question.text}</p>
      <div class="buttons">
        <button type="button" class="quiet" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
        <button
          type="button"
          class="alarming"
          onClick={() => {
            question.onAgree()
            dialog.current?.close()
          }}
        >
          {question.verb}
        </button>
      </div>
    </dialog>
  )
}
