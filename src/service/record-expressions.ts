// Expressions that were compiled a short while ago, by their text: many tails have the same one, and each would take
// milliseconds and tens of kilobytes of its own. One is evaluated from beginning to end at once, so all can share it.

import { EXPRESSIONS_KEPT_MAX } from '../kernel/limits.ts'
import { RecordExpression } from './record-expression.ts'

export class RecordExpressions {
  /** The one that was asked for last comes last. */
  readonly #byText = new Map<string, RecordExpression>()

  /** invalid_filter, with the place. */
  of(text: string): RecordExpression {
    const expression = this.#byText.get(text) ?? new RecordExpression(text)
    this.#byText.delete(text)
    this.#byText.set(text, expression)
    if (this.#byText.size > EXPRESSIONS_KEPT_MAX) {
      const [oldest] = this.#byText.keys()
      this.#byText.delete(oldest as string)
    }
    return expression
  }
}
