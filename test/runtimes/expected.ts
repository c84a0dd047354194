/** The result of `program.ts` in every runtime, apart from the program because that needs the built package. */
export const expected = JSON.stringify([
  ["a b", "ccc"],
  [1, "++++AP//T/+//wD/7t3Muw", true]
])
