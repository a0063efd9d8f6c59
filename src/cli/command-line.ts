// From arguments to an exit code. What a command throws is told here, in one line, and nowhere else.

import { CommanderError } from 'commander'
import type { ExitCode } from './command-failure.ts'
import { EXIT, exitCodeOf, isOfServer, messageOf } from './command-failure.ts'
import { buildProgram } from './command-table.ts'
import { kafkaVerbOf, schemaToolOf } from './kafka-command-table.ts'
import { inOptionWords } from './option-words.ts'
import type { Terminal } from './terminal.ts'

export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  const kafkaVerb = kafkaVerbOf(args[0])
  const schemaTool = schemaToolOf(args[0])
  try {
    if (schemaTool !== undefined) {
      const { insteadOfSchemaTool } = await import('./kafka-schema-tools.ts')
      throw insteadOfSchemaTool(schemaTool, args.slice(1))
    }
    const program = buildProgram(terminal)
    program.hook('preAction', (_program, { options }) => {
      terminal.optionNames = new Set(options.flatMap(({ long }) => long ?? []))
    })
    await program.parseAsync(kafkaVerb === undefined ? args : [kafkaVerb, ...args.slice(1)], { from: 'user' })
    return terminal.interruptExitCode ?? EXIT.done
  } catch (error) {
    if (terminal.interruptExitCode !== undefined) return terminal.interruptExitCode
    // Commander has said it, or shown the help that was asked for.
    if (error instanceof CommanderError) return failureCode(error.exitCode === 0 ? EXIT.done : EXIT.usage, kafkaVerb)
    const message = isOfServer(error) ? inOptionWords(messageOf(error), terminal.optionNames) : messageOf(error)
    terminal.note(kafkaVerb === undefined ? `tailrace: ${message}` : message)
    return failureCode(exitCodeOf(error), kafkaVerb)
  }
}

/** Kafka's tools know one failure only. */
function failureCode(exitCode: ExitCode, kafkaVerb: string | undefined): ExitCode {
  return kafkaVerb === undefined || exitCode === EXIT.done ? exitCode : EXIT.failed
}
