// Expressions that were compiled a short while ago, by their text: many tails, and the pages of a read, have the same one, and
// each would take milliseconds and tens of kilobytes of its own. One is evaluated from beginning to end at once, so all can share it.

import { EXPRESSIONS_KEPT_MAX } from '../../kernel/limits.ts'
import type { FramedReader } from './record-expression.ts'
import { RecordExpression } from './record-expression.ts'

export class RecordExpressions {
  readonly #framed: FramedReader | undefined
  /** The one that was asked for last comes last. */
  readonly #byText = new Map<string, RecordExpression>()

  constructor(framed?: FramedReader) {
    this.#framed = framed
  }

  /** invalid_filter, with the place. */
  of(text: string): RecordExpression {
    const expression = this.#byText.get(text) ?? new RecordExpression(text, this.#framed)
    this.#byText.delete(text)
    this.#byText.set(text, expression)
    if (this.#byText.size > EXPRESSIONS_KEPT_MAX) {
      const [oldest] = this.#byText.keys()
      this.#byText.delete(oldest as string)
    }
    return expression
  }
}
