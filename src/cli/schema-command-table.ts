// The table of `tailrace schemas`: names, arguments, options and help.

import type { Command } from 'commander'
import { Option } from 'commander'
import { SCHEMA_MODES } from '../client/schema-client.ts'
import { COMPATIBILITY_LEVELS, SCHEMA_TYPES } from '../kernel/schema-words.ts'
import { listing, talking } from './client-options.ts'
import { oneOf, schemaReferences, schemaVersion, wholeNumber } from './option-value.ts'
import type { Terminal } from './terminal.ts'

export function addSchemas(program: Command, terminal: Terminal): void {
  const schemas = program
    .command('schemas')
    .description('List, show, register, check, compare and delete schemas; set what may follow what.')
    // nobody who mistypes a word is to be led to one that deletes
    .showSuggestionAfterError(false)
  const load = () => import('./schemas.ts')

  listing(schemas.command('list').description('List the subjects with their last versions.'))
    .argument('[prefix]', 'only subjects that begin so')
    .option('--all', 'all versions')
    .option('--deleted', 'deleted ones too')
    .action(async (prefix, options) => (await load()).listSchemas(terminal, prefix, options))

  listing(schemas.command('show').description('Show a schema.'))
    .argument('[subject]')
    .argument('[version]', 'its number, or latest (which it is if left out)', schemaVersion)
    .option('--id <number>', 'the one with this id, whatever its subjects', wholeNumber(0, 2 ** 31 - 1))
    .option('--raw', 'only its text, as it is stored')
    .action(async (subject, version, options) => (await load()).showSchema(terminal, subject, version, options))

  reading(listing(schemas.command('register').description('Store a schema as the next version of a subject.'))).action(
    async (subject, file, options) => (await load()).registerSchema(terminal, subject, file, options),
  )

  reading(
    listing(schemas.command('check').description('Tell whether a schema could be registered; exits with 1 if not.')),
  )
    .option('--against <version>', 'only this version: its number, or latest', schemaVersion)
    .action(async (subject, file, options) => (await load()).checkSchema(terminal, subject, file, options))

  talking(schemas.command('diff').description('Show what a version changed, as diff -u does.'))
    .argument('<subject>')
    .argument('[from]', 'a version, or latest (the one before the last if left out)', schemaVersion)
    .argument('[to]', 'a version, or latest (which it is if left out)', schemaVersion)
    .action(async (subject, from, to, options) => (await load()).diffSchemas(terminal, subject, from, to, options))

  listing(schemas.command('delete').description('Delete a subject, or one of its versions.'))
    .argument('<subject>')
    .argument('[version]', 'its number, or latest (all if left out)', schemaVersion)
    .option('--permanent', 'for good: its id finds nothing any more')
    .action(async (subject, version, options) => (await load()).deleteSchemas(terminal, subject, version, options))

  listing(schemas.command('config').description('Show what may follow what, for a subject or all; change it.'))
    .argument('[subject]')
    .addOption(new Option('--level <level>', COMPATIBILITY_LEVELS.join(', ')).argParser(oneOf(COMPATIBILITY_LEVELS)))
    .addOption(new Option('--mode <mode>', SCHEMA_MODES.join(', ')).argParser(oneOf(SCHEMA_MODES)))
    .option('--force', 'to mode IMPORT although there are schemas')
    .addOption(new Option('--unset', 'what holds for all holds for the subject again').conflicts(['level', 'mode']))
    .action(async (subject, options) => (await load()).configureSchemas(terminal, subject, options))
}

/** What takes a schema from a file. */
function reading(command: Command): Command {
  return command
    .argument('<subject>')
    .argument('<file>', '- is stdin')
    .addOption(
      new Option('--type <type>', 'AVRO, JSON or PROTOBUF (if left out: .proto and .json tell, else AVRO)').argParser(
        oneOf(SCHEMA_TYPES),
      ),
    )
    .addOption(
      new Option(
        '--reference <name=subject:version>',
        'a schema that it refers to; the last version if left out (repeat)',
      ).argParser(schemaReferences),
    )
    .option('--normalize', 'compare and store it in its normal form')
}
