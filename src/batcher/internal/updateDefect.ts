/** Says for which update a rule of an accumulator threw, so that no other is lost with it. */
export class UpdateDefect extends Error {
  /** The place of the update among those that were to be added. */
  readonly place: number

  constructor(place: number, cause: unknown) {
    super("", { cause })
    this.place = place
  }
}
